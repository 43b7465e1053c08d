// The map of the collection: a canvas that can be moved and zoomed, coloured by a label.
import { call, el, say, t, visit } from "./app.js";

const tone = (i, dark) => `oklch(${dark ? 76 : 58}% 0.13 ${(i * 137.5 + 250) % 360})`;

export function start(page) {
  const end = new AbortController();
  const canvas = page.querySelector("canvas");
  const view = { x: 0, y: 0, zoom: 1 };
  let data = null;
  let hidden = new Set();
  let near = -1;
  const select = page.querySelector("select");

  const load = async () => {
    try {
      data = await call(`/api/v1/map${select ? `?label=${encodeURIComponent(select.value)}` : ""}`, { signal: end.signal });
    } catch (error) {
      if (error.name !== "AbortError") say(error.message);
      return;
    }
    hidden = new Set();
    describe(page, data, hidden, draw);
    canvas.setAttribute("aria-label", t("map.canvas", { n: data.ids.length }));
    canvas.dataset.ready = data.ids.length;
    draw();
  };
  select?.addEventListener("change", () => {
    history.replaceState({}, "", `/map?label=${encodeURIComponent(select.value)}`);
    load();
  });

  const size = () => {
    const scale = Math.min(2, devicePixelRatio || 1);
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    return scale;
  };
  const reach = () => 0.46 * Math.min(canvas.clientWidth, canvas.clientHeight) * view.zoom;
  const place = (i) => [canvas.clientWidth / 2 + (data.x[i] - view.x) * reach() * 1.35, canvas.clientHeight / 2 - (data.y[i] - view.y) * reach()];
  function draw() {
    if (!data) return;
    const scale = size();
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const dark = style.colorScheme === "dark" || getComputedStyle(document.documentElement).getPropertyValue("--paper").trim() === "#16171a";
    pen.scale(scale, scale);
    const radius = Math.min(9, Math.max(1.6, (data.ids.length < 2000 ? 3.4 : 1.8) * Math.sqrt(view.zoom)));
    const plain = style.getPropertyValue("--muted");
    for (let i = 0; i < data.ids.length; i += 1) {
      const colour = data.colours[i];
      if (hidden.has(colour)) continue;
      const [x, y] = place(i);
      if (x < -9 || y < -9 || x > canvas.clientWidth + 9 || y > canvas.clientHeight + 9) continue;
      pen.globalAlpha = colour < 0 && data.values.length ? 0.35 : 0.82;
      pen.fillStyle = colour < 0 ? plain : tone(colour, dark);
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    }
    if (near >= 0) {
      const [x, y] = place(near);
      pen.globalAlpha = 1;
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(x, y, radius + 3, 0, 7);
      pen.stroke();
    }
  }

  const closest = (px, py, most = 18) => {
    let best = -1;
    let least = most * most;
    for (let i = 0; i < data.ids.length; i += 1) {
      if (hidden.has(data.colours[i])) continue;
      const [x, y] = place(i);
      const far = (x - px) ** 2 + (y - py) ** 2;
      if (far < least) { least = far; best = i; }
    }
    return best;
  };
  const peek = page.querySelector(".peek");
  const look = (i) => {
    near = i;
    peek.hidden = i < 0;
    canvas.classList.toggle("pick", i >= 0);
    if (i >= 0) {
      const [x, y] = place(i);
      const id = data.ids[i];
      const image = peek.querySelector("img");
      if (image.dataset.id !== String(id)) { image.dataset.id = id; image.src = `/api/v1/pictures/${id}/thumbnail`; }
      peek.querySelector("span").textContent = data.values[data.colours[i]] ?? `#${id}`;
      peek.style.left = `${Math.max(8, Math.min(x + 14, canvas.clientWidth - 190))}px`;
      peek.style.top = `${Math.max(8, Math.min(y + 14, canvas.clientHeight - 180))}px`;
    }
    draw();
  };
  const zoom = (by, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) => {
    const before = reach();
    view.zoom = Math.min(60, Math.max(0.7, view.zoom * by));
    const after = reach();
    view.x += (px - canvas.clientWidth / 2) * (1 / before - 1 / after) / 1.35;
    view.y -= (py - canvas.clientHeight / 2) * (1 / before - 1 / after);
    look(-1);
  };
  const act = { in: () => zoom(1.6), out: () => zoom(1 / 1.6), reset: () => { Object.assign(view, { x: 0, y: 0, zoom: 1 }); look(-1); } };
  page.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", act[button.dataset.zoom]));

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, [event.offsetX, event.offsetY]); moved = 0; });
  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    const before = fingers.get(event.pointerId);
    if (!before) return look(closest(event.offsetX, event.offsetY));
    const [dx, dy] = [event.offsetX - before[0], event.offsetY - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const spread = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
      zoom(spread([event.offsetX, event.offsetY]) / Math.max(1, spread(before)), (event.offsetX + other[0]) / 2, (event.offsetY + other[1]) / 2);
    } else {
      view.x -= dx / (reach() * 1.35);
      view.y += dy / reach();
      if (moved > 5) look(-1);
    }
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (moved < 6 && data) {
      const i = closest(event.offsetX, event.offsetY);
      if (i >= 0) visit(`/picture/${data.ids[i]}`);
    }
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { if (data) look(-1); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.25 / view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (!data) return;
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; look(closest(canvas.clientWidth / 2, canvas.clientHeight / 2, 60)); }
    else if (event.key === "+" || event.key === "=") act.in();
    else if (event.key === "-") act.out();
    else if (event.key === "0") act.reset();
    else if (event.key === "Enter" && near >= 0) visit(`/picture/${data.ids[near]}`);
    else return;
    event.preventDefault();
  });
  addEventListener("resize", draw, { signal: end.signal });
  addEventListener("themechange", () => { describe(page, data, hidden, draw); draw(); }, { signal: end.signal });
  load();
  return () => end.abort();
}

function describe(page, data, hidden, draw) {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim() === "#16171a";
  page.querySelector(".legend").replaceChildren(...data.values.slice(0, 40).map((value, i) => {
    const dot = el("i");
    dot.style.background = tone(i, dark);
    const button = el("button", { class: "chip", type: "button", "aria-pressed": String(!hidden.has(i)) }, dot, el("span", {}, value));
    button.addEventListener("click", () => {
      if (hidden.delete(i)) button.setAttribute("aria-pressed", "true");
      else { hidden.add(i); button.setAttribute("aria-pressed", "false"); }
      draw();
    });
    return el("li", {}, button);
  }));
  const notes = [t("map.explained", { percent: `${Math.round(100 * data.explained)} %` })];
  if (data.total > data.ids.length) notes.push(t("map.sampled", { n: data.ids.length, total: data.total }));
  page.querySelector("[data-note]").textContent = data.ids.length ? notes.join(" ") : t("map.empty");
}

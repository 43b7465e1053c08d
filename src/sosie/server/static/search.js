// The search screen: camera, the box on the query, more results.
import { ask, el, number, say, t, visit } from "./app.js";

export function start(page) {
  const end = new AbortController();
  page.querySelector("[data-camera]")?.addEventListener("click", photograph);
  page.querySelector("[data-more]")?.addEventListener("click", more);
  page.querySelector("[data-share]")?.addEventListener("click", share);
  page.querySelector("[data-url]")?.addEventListener("submit", (event) => byAddress(event));
  const wide = page.querySelector("[data-wide-open]");
  if (wide && matchMedia("(min-width: 62rem)").matches) wide.open = true;
  const canvas = page.querySelector(".canvas");
  if (canvas) box(canvas, end.signal);
  if (page.querySelector("#hits")) copies(page, end.signal);
  return () => end.abort();
}

// -------------------------------------------------------------------------------------------- copies

/** Proving copies takes longer than finding what is alike: they come afterwards, and go first. */
async function copies(page, signal) {
  const here = new URL(location.href);
  if (["ids", "box", "objects", "object", "mask", "f", "where", "cursor", "text"].some((name) => here.searchParams.get(name))) return;
  const response = await fetch(`/copies${here.search}`, { headers: { "X-Fragment": "1" }, signal }).catch(() => null);
  if (!response?.ok) return;
  const found = parts(await response.text());
  const hits = page.querySelector("#hits");
  for (const card of found.flatMap((part) => [...part.querySelectorAll(".card")])) hits.querySelector(`[data-id="${card.dataset.id}"]`)?.remove();
  for (const part of found) put(part, (list, cards) => list.prepend(...cards));
  if (found.length) page.querySelector(".nothing")?.remove();
  hits.dataset.copies = found.reduce((sum, part) => sum + part.querySelectorAll(".card").length, 0);
  count();
}

const ORDER = ["same", "copies", "thing", "similar", "weak"];
const parts = (html) => [...new DOMParser().parseFromString(html, "text/html").querySelectorAll(".part")];

/** Put a section's cards into the section of that name, or the section where it belongs. */
function put(part, join) {
  const hits = document.getElementById("hits");
  const own = hits.querySelector(`:scope > [data-section="${part.dataset.section}"]`);
  const fresh = document.adoptNode(part);
  if (own) return join(own.querySelector(".grid"), fresh.querySelectorAll(".card"));
  const rank = ORDER.indexOf(part.dataset.section);
  hits.insertBefore(fresh, [...hits.children].find((each) => ORDER.indexOf(each.dataset.section) > rank) ?? null);
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
    say(t("results.shared"));
  } catch {
    say(location.href);
  }
}

async function byAddress(event) {
  event.preventDefault();
  const { call, json } = await import("./app.js");
  try {
    const { query } = await call("/api/v1/fetch", json("POST", { url: event.target.querySelector("input").value }));
    visit(`/?query=${query}`);
  } catch (error) {
    say(error.message);
  }
}

// -------------------------------------------------------------------------------------------- more results

async function more(event) {
  event.preventDefault();
  const link = event.currentTarget;
  link.setAttribute("aria-busy", "true");
  const response = await fetch(link.href, { headers: { "X-Fragment": "1" } }).catch(() => null);
  link.removeAttribute("aria-busy");
  if (!response?.ok) return say(t("js.offline"));
  const html = await response.text();
  const first = new DOMParser().parseFromString(html, "text/html");
  const fresh = first.querySelector("#hits .card")?.dataset.id;
  for (const part of parts(html)) put(part, (list, cards) => list.append(...cards));
  count();
  document.querySelector(`#hits [data-id="${fresh}"] a`)?.focus();
  const following = first.querySelector("[data-more]");
  if (following) link.href = following.href;
  else link.parentElement.remove();
}

/** Say how many of all are shown, and in each section; one that lost its last card goes. */
function count() {
  const line = document.getElementById("results");
  const shown = document.querySelectorAll("#hits .card").length;
  for (const part of document.querySelectorAll("#hits > .part")) {
    const own = part.querySelectorAll(".card").length;
    if (own) part.querySelector(".count").textContent = number(own);
    else part.remove();
  }
  if (line.dataset.total) line.textContent = t("results.of", { n: number(shown), total: number(Math.max(shown, +line.dataset.total)) });
}

// -------------------------------------------------------------------------------------------- camera

async function photograph() {
  const dialog = document.getElementById("camera");
  const video = dialog.querySelector("video");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return say(t("camera.none"));
  }
  video.srcObject = stream;
  dialog.showModal();
  dialog.addEventListener("close", () => stream.getTracks().forEach((track) => track.stop()), { once: true });
  dialog.querySelector("[data-close]").onclick = () => dialog.close();
  dialog.querySelector("[data-take]").onclick = () => {
    const still = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    still.getContext("2d").drawImage(video, 0, 0);
    still.toBlob((blob) => { dialog.close(); ask(new File([blob], "camera.jpg", { type: "image/jpeg" })); }, "image/jpeg", 0.92);
  };
}

// -------------------------------------------------------------------------------------------- a box on the query

const SMALLEST = 0.02;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function box(canvas, signal) {
  const veil = canvas.querySelector(".veil");
  const drawn = canvas.querySelector(".drawn");
  let now = canvas.dataset.box ? canvas.dataset.box.split(",").map(Number) : null;
  let from = null;

  const draw = () => {
    const [x, y, w, h] = now ?? [0, 0, 0, 0];
    veil.setAttribute("d", now ? `M0 0H1V1H0ZM${x} ${y}h${w}v${h}h${-w}Z` : "");
    for (const [name, value] of Object.entries({ x, y, width: w, height: h })) drawn.setAttribute(name, value);
    drawn.setAttribute("visibility", now ? "visible" : "hidden");
  };
  const search = () => {
    const url = new URL(location.href);
    for (const name of ["cursor", "object", "objects"]) url.searchParams.delete(name);
    if (now) url.searchParams.set("box", now.map((edge) => +edge.toFixed(4)).join(","));
    else url.searchParams.delete("box");
    visit(url.href, { keep: true });
  };
  const at = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [clamp((event.clientX - frame.left) / frame.width, 0, 1), clamp((event.clientY - frame.top) / frame.height, 0, 1)];
  };
  const drawing = canvas.parentElement.querySelector("[data-draw]");
  drawing.addEventListener("click", () => {
    const on = canvas.toggleAttribute("data-drawing");
    drawing.setAttribute("aria-pressed", String(on));
  }, { signal });
  canvas.addEventListener("pointerdown", (event) => {
    // A finger scrolls until drawing is turned on.
    if (event.button || (event.pointerType === "touch" && !("drawing" in canvas.dataset))) return;
    canvas.setPointerCapture(event.pointerId);
    from = at(event);
  }, { signal });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    now = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
    draw();
  }, { signal });
  canvas.addEventListener("pointerup", () => {
    if (!from) return;
    from = null;
    if (now && now[2] > SMALLEST && now[3] > SMALLEST) search();
    else { now = canvas.dataset.box ? canvas.dataset.box.split(",").map(Number) : null; draw(); }
  }, { signal });
  canvas.addEventListener("pointercancel", () => { from = null; }, { signal });

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      if (now) search();
      else now = [0.25, 0.25, 0.5, 0.5];
    } else if (event.key === "Escape" && now) {
      now = null;
      if (canvas.dataset.box) search();
    } else if (move && now) {
      event.preventDefault();
      const [x, y, w, h] = now;
      const [dx, dy] = move.map((step) => step * 0.03);
      now = event.shiftKey ? [x, y, clamp(w + dx, 0.05, 1 - x), clamp(h + dy, 0.05, 1 - y)]
        : [clamp(x + dx, 0, 1 - w), clamp(y + dy, 0, 1 - h), w, h];
    } else return;
    draw();
  }, { signal });
  // an object's chip shows where the object is
  for (const chip of document.querySelectorAll("[data-outline]")) {
    const outline = (edges) => {
      if (from) return;
      now = edges;
      draw();
    };
    const settled = () => (canvas.dataset.box ? canvas.dataset.box.split(",").map(Number) : null);
    for (const name of ["pointerenter", "focus"]) chip.addEventListener(name, () => outline(chip.dataset.outline.split(",").map(Number)), { signal });
    for (const name of ["pointerleave", "blur"]) chip.addEventListener(name, () => outline(settled()), { signal });
  }
  draw();
}

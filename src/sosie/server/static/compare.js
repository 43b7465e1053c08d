// Two pictures laid over each other: a slider, a blink, side by side; registered where a transformation is known.
import { call, el, number, percent, t } from "./app.js";

const SVG = "http://www.w3.org/2000/svg";

export function start(page) {
  if (!page.dataset.pair) return null;
  const end = new AbortController();
  const over = page.querySelector(".over");
  const cut = page.querySelector(".cut");
  const range = page.querySelector("#cut");
  const bench = page.querySelector(".bench");
  let blink = 0;
  let matrix = null;

  const slide = (percent) => {
    range.value = percent;
    over.style.clipPath = `inset(0 0 0 ${percent}%)`;
    cut.style.left = `${percent}%`;
  };
  const show = (mode) => {
    clearInterval(blink);
    page.querySelectorAll("[data-mode]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.mode === mode)));
    page.querySelectorAll("[data-view]").forEach((part) => { part.hidden = !part.dataset.view.split(" ").includes(mode); });
    cut.hidden = mode !== "slider";
    over.style.clipPath = "";
    over.style.visibility = "";
    if (mode === "slider") slide(range.value);
    if (mode === "blink") blink = setInterval(() => { over.style.visibility = over.style.visibility ? "" : "hidden"; }, 650);
    lay();
  };
  const lay = () => {
    const { clientWidth: width, clientHeight: height } = bench.querySelector(".first");
    const second = page.querySelector(".second");
    second.style.transform = matrix && width ? css(inverse(matrix), width, height) : "";
  };
  const drag = (event) => {
    if (!event.buttons || page.querySelector('[data-mode="slider"]').getAttribute("aria-pressed") !== "true") return;
    const frame = bench.getBoundingClientRect();
    slide(Math.min(100, Math.max(0, 100 * (event.clientX - frame.left) / frame.width)));
  };
  bench.addEventListener("pointerdown", drag);
  bench.addEventListener("pointermove", drag);
  range.addEventListener("input", () => slide(range.value));
  page.querySelectorAll("[data-mode]").forEach((button) => button.addEventListener("click", () => show(button.dataset.mode)));
  page.querySelectorAll("img").forEach((image) => { image.draggable = false; image.addEventListener("load", lay, { signal: end.signal }); });
  addEventListener("resize", lay, { signal: end.signal });
  show("slider");

  call(`/api/v1/compare?${page.dataset.pair}`, { signal: end.signal }).then((answer) => {
    matrix = answer.matrix;
    lay();
    certify(page, answer);
    mark(page, answer.points, answer.certificate?.covered ?? []);
  }).catch((error) => {
    if (error.name === "AbortError") return;
    page.querySelector("[data-certificate]").removeAttribute("aria-busy");
    page.querySelector("[data-why]").textContent = error.message;
  });
  return () => { end.abort(); clearInterval(blink); };
}

const TONES = { identical: "good", same_pixels: "good", altered_copy: "note", contains: "warm", is_part_of: "warm", same_object: "cool" };
const ONE = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const FACTS = ["decision", "turn", "scale", "mirrored", "covered_share", "jpeg_quality", "psnr", "inliers", "query_share", "reference_share", "correlation", "pdq_distance"];

function fact(name, value) {
  if (value === true) return t("yes");
  if (name === "turn") return `${number(value, ONE)}°`;
  if (name === "scale") return value.map((side) => number(side, { maximumFractionDigits: 2 })).join(" × ");
  if (name === "psnr") return `${number(value, ONE)} dB`;
  return /share|correlation/.test(name) ? percent(value) : String(value);
}

function certify(page, { verdict, probability, evidence, certificate, findings, matrix }) {
  const all = { ...certificate, ...evidence };
  const panel = page.querySelector("[data-certificate]");
  panel.removeAttribute("aria-busy");
  panel.querySelector(".judgement").replaceChildren(el("span", { class: `badge ${TONES[verdict] ?? ""}`, "data-verdict": verdict }, t(`verdict.${verdict}`)),
    el("span", { class: "score" }, t(verdict === "similar" ? "card.sure.copy" : "card.sure", { percent: percent(probability) })));
  panel.querySelector("[data-why]").textContent = t(`why.${verdict}`);
  // Shares and agreement are of pictures that lie over each other.
  const told = FACTS.filter((name) => matrix || !/_share|correlation/.test(name));
  panel.querySelector("dl").replaceChildren(...told.filter((name) => all[name] != null && all[name] !== false && !(name === "turn" && Math.abs(all[name]) < 0.05))
    .flatMap((name) => [el("dt", {}, t(`fact.${name}`)), el("dd", {}, fact(name, all[name]))]));
  panel.querySelector("ul").replaceChildren(...findings.map((found) => el("li", {}, t(`done.${found.name}`, found))));
  page.querySelector("[data-registration]").textContent = t(matrix ? "compare.registered" : "compare.unregistered");
}

/** Mark the matched points, each in one colour on both pictures, and on the second what was covered. */
function mark(page, points, covered) {
  page.querySelectorAll(".points").forEach((layer, side) => {
    layer.replaceChildren(...points.map((pair, i) => {
      const [x, y] = side ? [pair[2], pair[3]] : [pair[0], pair[1]];
      const dot = document.createElementNS(SVG, "path");
      dot.setAttribute("d", `M${x} ${y}h0`);
      dot.setAttribute("stroke", `hsl(${(i * 137.5) % 360} 90% 60%)`);
      return dot;
    }));
    if (side) layer.append(...covered.map(([x, y, width, height]) => {
      const box = document.createElementNS(SVG, "rect");
      for (const [name, value] of Object.entries({ x, y, width, height })) box.setAttribute(name, value);
      return box;
    }));
  });
}

/** Return the inverse of a 3 × 3 matrix. */
function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const [A, B, C] = [e * i - f * h, f * g - d * i, d * h - e * g];
  const det = a * A + b * B + c * C;
  return [[A, c * h - b * i, b * f - c * e], [B, a * i - c * g, c * d - a * f], [C, b * g - a * h, a * e - b * d]].map((row) => row.map((value) => value / det));
}

/** Return a transformation of relative points as CSS for a box of this size. */
function css(m, width, height) {
  const s = [width, height, 1];
  const k = m.map((row, r) => row.map((value, c) => value * s[r] / s[c]));
  return `matrix3d(${[k[0][0], k[1][0], 0, k[2][0], k[0][1], k[1][1], 0, k[2][1], 0, 0, 1, 0, k[0][2], k[1][2], 0, k[2][2]].map((v) => v.toFixed(9)).join(",")})`;
}

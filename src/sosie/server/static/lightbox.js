// One picture large, over the page: keys, zoom, and what is known of it beside.
import { el, say, t } from "./app.js";

const CLOSEST = 8;
let open = null;

/** Show a picture; ``step(±1)`` gives the id of the one after or before, or null; ``done`` is called at the end. */
export async function enlarge(id, step, done = () => {}) {
  await styled();
  open?.close();
  const image = el("img", { alt: "", draggable: "false" });
  const stage = el("div", { class: "stage" }, image);
  const facts = el("div", { class: "about", tabindex: -1 });
  const button = (label, text, act) => el("button", { class: "plain", type: "button", "aria-label": t(label), title: t(label), onclick: act }, text);
  const view = zooming(stage, image);
  const dialog = el("dialog", { id: "lightbox", "aria-label": t("box.title") },
    el("div", { class: "boxbar" }, button("box.previous", "‹", () => move(-1)), button("box.next", "›", () => move(1)),
      button("box.out", "−", () => view.by(1 / 1.5)), button("box.in", "+", () => view.by(1.5)), button("camera.close", "×", () => dialog.close())),
    stage, facts);

  const show = async (picture) => {
    if (dialog.dataset.id !== String(picture)) facts.replaceChildren(); // what is known of one never stands beside another
    dialog.dataset.id = picture;
    view.reset();
    image.src = `/api/v1/pictures/${picture}/preview`;
    const asked = fetch(`/picture/${picture}`, { headers: { "X-Fragment": "1" } }).catch(() => null);
    const [answer, { start }] = await Promise.all([asked, import("./picture.js")]); // no form is shown before it works
    if (dialog.dataset.id !== String(picture)) return; // another one was asked for meanwhile
    if (!answer?.ok) return say(t("js.offline"));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-page]");
    image.alt = page.querySelector("h1").textContent;
    page.querySelector(".stage").remove();
    facts.replaceChildren(document.adoptNode(page));
    start(page, { changed: () => dialog.dataset.id === String(picture) && show(picture), gone: () => { dialog.close(); location.reload(); } });
  };
  const move = async (by) => {
    const next = await step(by);
    if (next !== null && dialog.open) await show(next);
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    const acts = { ArrowLeft: () => move(-1), ArrowRight: () => move(1), "+": () => view.by(1.5), "-": () => view.by(1 / 1.5), 0: view.reset };
    if (!(event.key in acts) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  });
  dialog.addEventListener("click", (event) => {
    const near = event.target.closest("a[data-enlarge]");
    if (near && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      show(near.closest("[data-id]").dataset.id);
    } else if (event.target.closest("a[data-visit], a.why")) dialog.close();
  });
  dialog.addEventListener("close", () => { dialog.remove(); if (open === dialog) open = null; done(); });
  document.body.append(dialog);
  open = dialog;
  dialog.showModal();
  dialog.focus();
  show(id);
}

/** Load the look of the dialog, once. */
let look = null;
const styled = () => look ??= new Promise((done) => {
  document.head.append(el("link", { rel: "stylesheet", href: "/static/lightbox.css", onload: done, onerror: done }));
});

/** Zoom by wheel and buttons, about the middle or the pointer; drag moves. */
function zooming(stage, image) {
  let scale = 1, x = 0, y = 0, from = null;
  const put = () => { image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`; stage.classList.toggle("near", scale > 1); };
  const by = (times, at = [0, 0]) => {
    const next = Math.min(CLOSEST, Math.max(1, scale * times));
    x = at[0] - (at[0] - x) * (next / scale);
    y = at[1] - (at[1] - y) * (next / scale);
    scale = next;
    if (scale === 1) x = y = 0;
    put();
  };
  const reset = () => by(1 / CLOSEST);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = stage.getBoundingClientRect();
    by(Math.exp(-event.deltaY / 300), [event.clientX - frame.left - frame.width / 2, event.clientY - frame.top - frame.height / 2]);
  }, { passive: false });
  stage.addEventListener("dblclick", () => (scale > 1 ? reset() : by(2.5)));
  stage.addEventListener("pointerdown", (event) => { if (scale > 1) { from = [event.clientX - x, event.clientY - y]; stage.setPointerCapture(event.pointerId); } });
  stage.addEventListener("pointermove", (event) => { if (from) { x = event.clientX - from[0]; y = event.clientY - from[1]; put(); } });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { from = null; });
  return { by, reset };
}

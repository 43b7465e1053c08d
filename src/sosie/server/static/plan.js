// The plan for the files that a review of duplicates gives up: its size, downloaded or carried out, and undone.
import { bytes, call, el, json, number, say, t } from "./app.js";
import { begin } from "./add.js";

/** Set up the plan's part of the page; return what brings its line up to date. */
export function plans(page, kept, streams, again) {
  const part = page.querySelector(".plan");
  const action = part.querySelector("#action");
  const folder = part.querySelector("[data-folder]");
  const bar = part.querySelector("progress");
  const tally = () => {
    const { given, reviewed } = kept;
    bar.value = reviewed;
    part.querySelector("[data-tally]").textContent = t("duplicates.tally", {
      done: number(Math.min(reviewed, bar.max)), total: number(bar.max), files: number(given.length), size: bytes(given.reduce((sum, [, size]) => sum + size, 0)),
    });
    part.querySelectorAll("[data-plan=download], [data-plan=apply]").forEach((button) => { button.disabled = !given.length; });
  };
  const make = async () => {
    part.setAttribute("aria-busy", "true");
    try {
      const plan = await call("/api/v1/duplicates/plan", json("POST", { action: action.value, give_up: kept.given.map(([uri]) => uri) }));
      refusals(part, plan.refused);
      return plan;
    } finally {
      part.removeAttribute("aria-busy");
    }
  };
  const over = (done) => (job) => { say(t(done, { n: job.result.applied ?? job.result.restored })); refusals(part, job.result.refused); if (!job.result.refused.length) again(); };
  const acts = {
    download: async () => {
      const { lines } = await make();
      const link = el("a", { href: URL.createObjectURL(new Blob([JSON.stringify(lines, null, 1)], { type: "application/json" })), download: "plan.json" });
      link.click();
      URL.revokeObjectURL(link.href);
    },
    apply: async () => {
      const place = action.value === "move" ? part.querySelector("#folder").value.trim() : null;
      if (place === "") return say(t("duplicates.folder.needed"));
      const { lines, bytes: size } = await make();
      if (!lines.length) return say(t("duplicates.plan.empty"));
      if (!await sure(part, t(`duplicates.sure.${action.value}`, { files: number(lines.length), size: bytes(size), folder: place }))) return null;
      return begin(page, { kind: "apply", lines, folder: place }, streams, (job) => { kept.clear(); over("duplicates.applied")(job); });
    },
    undo: () => begin(page, { kind: "undo" }, streams, over("duplicates.restored")),
  };
  action.addEventListener("change", () => { if (folder) folder.hidden = action.value !== "move"; });
  part.querySelectorAll("[data-plan]").forEach((button) => button.addEventListener("click", () => acts[button.dataset.plan]()?.catch((error) => say(error.message))));
  return tally;
}

function refusals(part, refused) {
  const list = part.querySelector("[data-refused]");
  list.hidden = !refused.length;
  list.querySelector("p").textContent = t("duplicates.plan.refused", { n: refused.length });
  list.querySelector("ul").replaceChildren(...refused.slice(0, 50).map(({ uri, reason }) => el("li", {}, `${readable(uri)}: ${reason}`)));
}

/** Return a place as people write it; what is no UTF-8 stays encoded. */
function readable(uri) {
  try { return decodeURIComponent(uri.replace(/^file:\/\//, "")); } catch { return uri; }
}

/** Ask before files are touched. */
function sure(part, what) {
  const dialog = part.querySelector("#sure");
  dialog.querySelector("[data-what]").textContent = what;
  return new Promise((answer) => {
    dialog.querySelector("[data-yes]").onclick = () => { answer(true); dialog.close(); };
    dialog.querySelector("[data-no]").onclick = () => dialog.close();
    dialog.addEventListener("close", () => answer(false), { once: true });
    dialog.showModal();
  });
}

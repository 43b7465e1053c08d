// Adding pictures, with a line for each; jobs as they go; retrying the quarantine.
import { call, el, json, of, say, t, visit } from "./app.js";

const AT_ONCE = 2;

export function start(page) {
  const end = new AbortController();
  const streams = [];
  page.querySelectorAll("[data-files]").forEach((input) => input.addEventListener("change", () => send(page, [...input.files], end.signal)));
  const zone = page.querySelector("[data-addzone]");
  if (zone) drops(page, zone, end.signal);
  page.querySelector("[data-path]")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    begin(page, { kind: "add", source: form.source.value, label_from_folders: form.folders.checked }, streams);
  });
  page.querySelector("[data-retry]")?.addEventListener("click", (event) =>
    begin(page, { kind: "retry", reason: event.currentTarget.dataset.retry || null }, streams, () => visit(location.href, { push: false, keep: true })));
  page.querySelectorAll("[data-job]").forEach((line) => follow(line, line.dataset.job, streams));
  return () => { end.abort(); streams.forEach((stream) => stream.close()); };
}

// -------------------------------------------------------------------------------------------- uploads

function drops(page, zone, signal) {
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); }, { signal });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"), { signal });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    send(page, entries.length ? (await Promise.all(entries.map(files))).flat() : [...event.dataTransfer.files], signal);
  }, { signal });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) send(page, [...event.clipboardData.files], signal); }, { signal });
}

async function files(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!batch.length) return (await Promise.all(found.map(files))).flat();
    found.push(...batch);
  }
}

async function send(page, list, signal) {
  if (!list.length) return;
  const section = page.querySelector("#sent");
  section.hidden = false;
  const label = page.querySelector("#add-label").value.trim();
  const count = { done: 0, total: list.length, indexed: 0, known: 0, failed: 0 };
  const report = () => {
    section.querySelector("progress").value = count.done / count.total;
    section.querySelector("[data-summary]").textContent = t("add.done", count);
  };
  const lines = list.map((file) => [file, line(file)]);
  section.querySelector(".sent").replaceChildren(...lines.slice(0, 200).map(([, node]) => node));
  report();
  const work = async () => {
    for (let next = lines.shift(); next && !signal.aborted; next = lines.shift()) {
      const state = await upload(...next, label, signal);
      count.done += 1;
      count[state] += 1;
      report();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function line(file) {
  const shown = el("img", { alt: "" });
  return el("li", {}, el("a", {}, shown, el("span", { class: "name", title: file.name }, file.name)), el("span", { class: "badge" }, t("add.state.waiting")));
}

async function upload(file, node, label, signal) {
  const badge = node.querySelector(".badge");
  badge.textContent = t("add.state.sending");
  const body = new FormData();
  body.append("picture", file, file.name);
  if (label) body.append("labels", JSON.stringify({ label }));
  try {
    const { id, status } = await call("/api/v1/pictures", { method: "POST", body, signal });
    badge.textContent = t(`add.state.${status}`);
    badge.classList.add(status === "known" ? "cool" : "good");
    node.querySelector("img").src = `/api/v1/pictures/${id}/thumbnail`;
    node.querySelector("a").href = `/picture/${id}`;
    node.querySelector("a").dataset.visit = "";
    return status;
  } catch (error) {
    badge.textContent = error.reason ? await of("reason", error.reason) : t("add.state.failed");
    badge.title = error.message;
    badge.classList.add("bad");
    return "failed";
  }
}

// -------------------------------------------------------------------------------------------- jobs

export async function begin(page, body, streams, done) {
  try {
    const job = await call("/api/v1/jobs", json("POST", body));
    page.querySelector("[data-jobs-section]")?.removeAttribute("hidden");
    const node = el("div", { "data-job": job.id });
    page.querySelector("#jobs").prepend(node);
    show(node, job);
    follow(node, job.id, streams, done);
  } catch (error) {
    say(error.message);
  }
}

export function follow(node, id, streams, done) {
  const stream = new EventSource(`/api/v1/jobs/${id}/events`);
  streams.push(stream);
  stream.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    show(node, job);
    if (job.ended_at) { stream.close(); if (job.state === "done") done?.(job); }
  });
}

function show(node, job) {
  const tone = { done: "good", failed: "bad", running: "cool" }[job.state] ?? "";
  const progress = job.result?.seen != null ? job.result : job.progress;
  const refused = typeof progress.quarantined === "object" ? Object.values(progress.quarantined).reduce((a, b) => a + b, 0) : progress.quarantined;
  const running = !job.ended_at;
  node.replaceChildren(el("div", { class: "row" },
    el("p", {}, t(`jobs.${job.kind}`, { title: job.title })),
    el("span", { class: "row" }, el("span", { class: `badge ${tone}` }, t(`jobs.${job.state}`)),
      ...(running ? [el("button", { class: "button quiet small", type: "button", onclick: () => call(`/api/v1/jobs/${job.id}`, { method: "DELETE" }).catch((error) => say(error.message)) }, t("jobs.stop"))] : []))));
  if (running && progress.total) node.append(el("p", { class: "muted" }, t("jobs.steps", { ...progress, stage: t(`jobs.stage.${progress.stage}`) })));
  if (progress.seen != null) node.append(el("p", { class: "muted" }, t("jobs.counts", { seen: progress.seen, indexed: progress.indexed, quarantined: refused ?? 0 })));
  if (progress.left_out?.length) {
    const what = progress.left_out.slice(0, 12).map((each) => t(`left_out.${each.reason}`, { n: each.count, ending: each.ending })).join(", ");
    node.append(el("p", { class: "muted" }, t("left_out", { what })));
  }
  if (running && job.state === "running") node.append(el("progress", { "aria-label": t("jobs.running"), ...(progress.total ? { max: progress.total, value: progress.done } : {}) }));
  if (job.error) {
    const line = el("p", { class: "bad" }, job.error.detail);
    node.append(line);
    of("problem", job.error.code).then((text) => line.prepend(`${text} `));
  }
}

// Reviewing groups of duplicates, with the mouse or with single keys; then the plan for the files that are given up.
import { call, json, say, t, visit } from "./app.js";
import { begin, follow } from "./add.js";
import { plans } from "./plan.js";
import { choices } from "./choices.js";

const again = () => visit(location.href, { push: false, keep: true });

export function start(page) {
  const end = new AbortController();
  const streams = [];
  page.querySelector("[data-look]").addEventListener("click", (event) => {
    event.currentTarget.disabled = true;
    begin(page, { kind: "duplicates" }, streams, again);
  });
  page.querySelectorAll("[data-job]").forEach((line) => follow(line, line.dataset.job, streams, again));
  if (page.querySelector(".plan")) review(page, streams, end.signal);
  return () => { end.abort(); streams.forEach((stream) => stream.close()); };
}

function review(page, streams, signal) {
  const kept = choices();
  const groups = [...page.querySelectorAll(".group")];
  const undoing = page.querySelector("[data-undo]");
  const deeds = [];
  const tally = plans(page, kept, streams, again);
  const files = (group) => [...group.querySelectorAll(".file-card")];
  const marked = (group) => files(group).filter((file) => file.dataset.giveUp);

  const show = (group) => {
    const state = kept.get(group.dataset.key)?.state ?? (group.dataset.decision === "same_picture" ? "" : group.dataset.decision);
    group.dataset.state = state;
    const badge = group.querySelector("[data-state]");
    badge.hidden = !state;
    if (state) badge.textContent = t(`duplicates.state.${state}`);
    for (const file of files(group)) file.querySelector("[data-toggle]").setAttribute("aria-pressed", String(Boolean(file.dataset.giveUp)));
    tally();
  };
  /** Do something to groups, and remember how to take it back: one deed, however many groups it is about. */
  const deed = async (some, act) => {
    const before = some.map((group) => [group, snapshot(group)]);
    const done = [];
    try {
      for (const entry of before) { done.push(entry); await act(entry[0]); show(entry[0]); }
    } catch (error) {
      say(error.message);
      await restore(done);
      return false;
    }
    deeds.push(before);
    undoing.disabled = false;
    return true;
  };
  const snapshot = (group) => ({ entry: kept.get(group.dataset.key), decision: group.dataset.decision, marks: files(group).map((file) => file.dataset.giveUp) });
  const restore = async (before) => {
    for (const [group, { entry, decision, marks }] of before) {
      files(group).forEach((file, i) => { file.dataset.giveUp = marks[i]; });
      kept.set(group.dataset.key, entry);
      await decide(group, decision).catch((error) => say(error.message));
      show(group);
    }
  };
  const undo = async () => {
    const last = deeds.pop();
    if (!last) return say(t("duplicates.undo.none"));
    undoing.disabled = !deeds.length;
    await restore(last);
    focus(last[0][0]);
    say(t("duplicates.undone"));
  };
  /** Decide about the best of a group and each other picture of it. */
  const decide = async (group, decision) => {
    if (group.dataset.decision === decision) return;
    const [best, ...others] = [...new Set(files(group).map((file) => +file.dataset.id))];
    group.dataset.decision = "pending";
    for (const other of others) await call("/api/v1/decisions", json("POST", { a: best, b: other, decision: decision || null }));
    group.dataset.decision = decision;
  };
  const mark = (group, file, up) => {
    if (up && marked(group).length === files(group).length - 1 && !file.dataset.giveUp) throw new Error(t("duplicates.one_stays"));
    file.dataset.giveUp = up ? "1" : "";
  };
  const keep = (group, state) => kept.set(group.dataset.key, { state, given: marked(group).map((file) => [file.dataset.uri, +file.dataset.bytes]) });
  const acts = {
    accept: async (group) => {
      if (group.dataset.decision && group.dataset.decision !== "same_picture") await decide(group, "");
      if (!marked(group).length) files(group).slice(1).forEach((file) => { file.dataset.giveUp = "1"; });
      keep(group, "accepted");
    },
    keep: async (group) => {
      await decide(group, "keep_both");
      files(group).forEach((file) => { file.dataset.giveUp = ""; });
      keep(group, "keep_both");
    },
    not: async (group) => {
      await decide(group, "not_a_copy");
      files(group).forEach((file) => { file.dataset.giveUp = ""; });
      keep(group, "not_a_copy");
    },
  };
  const toggle = (group, file) => deed([group], async () => {
    mark(group, file, !file.dataset.giveUp);
    if (kept.get(group.dataset.key)?.state === "accepted") keep(group, "accepted");
  });

  tally();
  const current = () => groups.findIndex((group) => group.contains(document.activeElement));
  const focus = (group) => { group.focus(); group.scrollIntoView({ block: "nearest" }); };
  const step = (by) => groups.length && focus(groups[Math.min(groups.length - 1, Math.max(0, current() + by))]);

  for (const group of groups) {
    const entry = kept.get(group.dataset.key);
    if (entry) files(group).forEach((file) => { file.dataset.giveUp = entry.given.some(([uri]) => uri === file.dataset.uri) ? "1" : ""; });
    group.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => deed([group], acts[button.dataset.do])));
    files(group).forEach((file) => file.querySelector("[data-toggle]").addEventListener("click", () => toggle(group, file)));
    show(group);
  }
  page.querySelectorAll("[data-all]").forEach((button) => button.addEventListener("click", () =>
    deed(groups.filter((group) => !group.dataset.state), acts[button.dataset.all])));
  undoing?.addEventListener("click", undo);
  const keys = { a: "accept", b: "keep", n: "not" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.closest("dialog")) return;
    const key = event.key.toLowerCase();
    const group = groups[current()];
    const file = group && files(group)[+key - 1];
    if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "u") undo();
    else if (group && key in keys) { if (group.querySelector(`[data-do=${keys[key]}]`)) deed([group], acts[keys[key]]).then((done) => done && step(1)); }
    else if (file) toggle(group, file);
    else return;
    event.preventDefault();
  }, { signal });
}

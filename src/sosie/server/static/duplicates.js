// Reviewing duplicates pair by pair, with the mouse or with single keys.
import { call, json, say, t, visit } from "./app.js";
import { begin, follow } from "./add.js";

const KEYS = { s: "same_picture", b: "keep_both", n: "not_a_copy", u: "" };

export function start(page) {
  const end = new AbortController();
  const streams = [];
  const pairs = [...page.querySelectorAll(".pair")];
  const again = () => visit(location.href, { push: false, keep: true });
  page.querySelector("[data-look]").addEventListener("click", (event) => {
    event.currentTarget.disabled = true;
    begin(page, { kind: "duplicates" }, streams, again);
  });
  page.querySelectorAll("[data-job]").forEach((line) => follow(line, line.dataset.job, streams, again));

  const tally = () => {
    const line = page.querySelector("[data-tally]");
    if (line) line.textContent = t("duplicates.progress", { done: pairs.filter((pair) => pair.dataset.decision).length, total: pairs.length });
  };
  const show = (pair) => {
    pair.querySelectorAll("[data-decide]").forEach((button) => {
      const mine = button.dataset.decide === pair.dataset.decision;
      if (button.dataset.decide) button.setAttribute("aria-pressed", String(mine));
      else button.hidden = !pair.dataset.decision;
    });
    tally();
  };
  const decide = async (pair, decision) => {
    const before = pair.dataset.decision;
    pair.dataset.decision = decision;
    show(pair);
    try {
      await call("/api/v1/decisions", json("POST", { a: +pair.dataset.a, b: +pair.dataset.b, decision: decision || null }));
    } catch (error) {
      pair.dataset.decision = before;
      show(pair);
      say(error.message);
    }
  };
  const current = () => pairs.findIndex((pair) => pair.contains(document.activeElement));
  const step = (by) => {
    const next = pairs[Math.min(pairs.length - 1, Math.max(0, current() + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };

  for (const pair of pairs) {
    show(pair);
    pair.querySelectorAll("[data-decide]").forEach((button) => button.addEventListener("click", () => decide(pair, button.dataset.decide)));
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const key = event.key.toLowerCase();
    const at = current();
    if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key in KEYS && at >= 0) decide(pairs[at], KEYS[key]).then(() => KEYS[key] && step(1));
    else return;
    event.preventDefault();
  }, { signal: end.signal });
  return () => { end.abort(); streams.forEach((stream) => stream.close()); };
}

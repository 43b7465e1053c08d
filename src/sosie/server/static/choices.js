// What was chosen about groups of duplicates; the browser keeps it, so that a review can go on another day.
const NAME = "sosie-review";

/** Return the kept choices by the digest of a group's best picture: {state, given: [[uri, bytes], …]}. */
export function choices() {
  let all = {};
  try { all = JSON.parse(localStorage.getItem(NAME)) ?? {}; } catch { /* a private window keeps nothing */ }
  const write = () => { try { localStorage.setItem(NAME, JSON.stringify(all)); } catch { /* the same */ } };
  return {
    get: (key) => all[key],
    set: (key, entry) => { if (entry) all[key] = entry; else delete all[key]; write(); },
    clear: () => { all = {}; write(); },
    get reviewed() { return Object.keys(all).length; },
    get given() { return Object.values(all).filter((entry) => entry.state === "accepted").flatMap((entry) => entry.given); },
  };
}

// The page of all pictures: one long wall, a selection, and what can be done with it.
import { call, el, json, number, say, t, visit } from "./app.js";
import { wall } from "./wall.js";

export function start(page) {
  const wide = page.querySelector("[data-wide-open]");
  if (wide && matchMedia("(min-width: 62rem)").matches) wide.open = true;
  const root = page.querySelector("#wall");
  if (!root) return null;
  const end = new AbortController();
  const browsing = new Browsing(page, root, end.signal);
  browsing.listen();
  return () => end.abort();
}

/** Return a text about a number of pictures, in the singular or the plural. */
const some = (key, n) => t(`${key}.${n === 1 ? "one" : "other"}`, { n: number(n) });

class Browsing {
  constructor(page, root, signal) {
    this.page = page;
    this.signal = signal;
    this.total = +root.dataset.total;
    this.most = +root.dataset.most;
    const { order, descending, where } = root.dataset;
    this.asked = new URLSearchParams({ order, descending, ...(where ? { where } : {}) });
    this.picked = new Map(); // position → id
    this.at = 0;
    this.from = null;
    this.list = el("div", { class: "wall", role: "listbox", tabindex: 0, "aria-multiselectable": "true", "aria-label": t("browse.title") });
    root.replaceChildren(this.list);
    page.querySelector("[data-keys]").hidden = false;
    this.bar = page.querySelector(".picked");
    this.wall = wall(this.list, { total: this.total, load: (start, count) => this.load(start, count), paint: (...all) => this.paint(...all), signal });
  }

  async load(start, count) {
    const rows = await call(`/browse/rows?${this.asked}&start=${start}&k=${count}`, { signal: this.signal });
    return rows.map(([id, name]) => ({ id, name }));
  }

  paint(node, at, row) {
    const [image] = node.children;
    if (node.dataset.at !== String(at)) {
      node.dataset.at = at;
      node.id = `tile-${at}`;
      node.setAttribute("aria-posinset", at + 1);
      node.setAttribute("aria-setsize", this.total);
      node.removeAttribute("data-id");
      node.setAttribute("aria-label", number(at + 1));
      image.removeAttribute("src");
    }
    if (row && node.dataset.id !== String(row.id)) {
      node.dataset.id = row.id;
      const name = row.name || `#${row.id}`;
      node.setAttribute("aria-label", name);
      node.title = name;
      image.src = `/api/v1/pictures/${row.id}/thumbnail`;
    }
    node.setAttribute("aria-selected", String(this.picked.has(at)));
    node.classList.toggle("here", at === this.at && this.list.matches(":focus-visible"));
    if (at === this.at) this.list.setAttribute("aria-activedescendant", node.id);
  }

  listen() {
    const { signal } = this;
    this.list.addEventListener("click", (event) => this.click(event), { signal });
    this.list.addEventListener("keydown", (event) => this.key(event), { signal });
    for (const name of ["focus", "blur"]) this.list.addEventListener(name, () => this.wall.repaint(), { signal });
    this.bar.addEventListener("click", (event) => event.target.closest("[data-do]") && this.act(event.target.closest("[data-do]").dataset.do), { signal });
    const dialog = this.page.querySelector("#labelling");
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close(), { signal });
    dialog.querySelector("form").addEventListener("submit", (event) => this.label(Object.fromEntries(new FormData(event.target))), { signal });
  }

  // ------------------------------------------------------------------------------------------ choosing

  click(event) {
    const node = event.target.closest(".tile");
    if (!node) return;
    const at = +node.dataset.at;
    this.at = at;
    if (event.shiftKey) this.span(this.from ?? at, at);
    else if (event.target.closest(".tick") || event.ctrlKey || event.metaKey || this.picked.size) this.toggle(at);
    else this.enlarge(at);
  }

  async key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.wall.columns, ArrowDown: this.wall.columns, PageUp: -this.wall.columns * this.wall.rowsInSight, PageDown: this.wall.columns * this.wall.rowsInSight, Home: -this.total, End: this.total };
    if (event.key in moves) {
      event.preventDefault();
      const from = this.at;
      this.at = Math.min(this.total - 1, Math.max(0, this.at + moves[event.key]));
      this.wall.show(this.at);
      this.wall.repaint();
      if (event.shiftKey) await this.span(this.from ?? from, this.at);
    } else if (event.key === " ") {
      event.preventDefault();
      await this.toggle(this.at);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.enlarge(this.at);
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      await this.span(0, this.total - 1);
    } else if (event.key === "Escape" && this.picked.size) {
      this.clear();
    }
  }

  async toggle(at) {
    this.from = at;
    if (this.picked.has(at)) this.picked.delete(at);
    else if (this.picked.size >= this.most) return say(t("browse.most", { n: number(this.most) }));
    else this.picked.set(at, (await this.wall.row(at)).id);
    this.told();
  }

  /** Select from one position to another, at most as many as can be handled at once. */
  async span(one, other) {
    this.from = one;
    const start = Math.min(one, other);
    const count = Math.min(Math.abs(one - other) + 1, this.most);
    try {
      const { ids } = await call(`/api/v1/picture-ids?${this.asked}&start=${start}&k=${count}`, { signal: this.signal });
      this.picked = new Map(ids.map((id, at) => [start + at, id]));
    } catch (error) {
      return say(error.message);
    }
    if (Math.abs(one - other) + 1 > this.most) say(t("browse.most", { n: number(this.most) }));
    this.told();
  }

  clear() {
    this.picked.clear();
    this.told();
    this.list.focus();
  }

  told() {
    const count = this.picked.size;
    this.bar.hidden = !count;
    this.bar.querySelector("[data-picked]").textContent = some("browse.picked", count);
    this.bar.querySelector("[data-do=compare]").disabled = count !== 2;
    this.bar.querySelector("[data-do=search]").disabled = count > 100;
    this.wall.repaint();
  }

  // ------------------------------------------------------------------------------------------ doing

  get ids() { return [...this.picked.values()]; }

  async act(what) {
    try {
      await this[`do_${what}`]();
    } catch (error) {
      say(error.message);
    }
  }

  do_clear() { this.clear(); }

  do_compare() {
    const [a, b] = this.ids;
    return visit(`/compare?a=${a}&b=${b}`);
  }

  do_search() { return visit(`/?ids=${this.ids.join(",")}`); }

  do_label() { this.page.querySelector("#labelling").showModal(); }

  async label({ name, value }) {
    try {
      const { changed } = await call("/api/v1/bulk/labels", json("POST", { ids: this.ids, labels: { [name]: value || null } }));
      await visit(location.href, { push: false, keep: true });
      say(some("browse.labelled", changed));
    } catch (error) {
      say(error.message);
    }
  }

  async do_export() {
    const answer = await fetch("/api/v1/bulk/csv", json("POST", { ids: this.ids }));
    if (!answer.ok) return say(t("js.offline"));
    const link = el("a", { href: URL.createObjectURL(await answer.blob()), download: "pictures.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async do_remove() {
    if (!confirm(some("browse.remove.sure", this.picked.size))) return;
    const { changed } = await call("/api/v1/bulk/remove", json("POST", { ids: this.ids }));
    await visit(location.href, { push: false });
    say(some("browse.removed", changed));
  }

  async enlarge(at) {
    const { enlarge } = await import("./lightbox.js");
    const row = await this.wall.row(at);
    if (!row) return;
    enlarge(row.id, async (step) => {
      const next = this.at + step;
      if (next < 0 || next >= this.total) return null;
      this.at = next;
      this.wall.show(next);
      return (await this.wall.row(next))?.id ?? null;
    }, () => this.list.focus());
  }
}

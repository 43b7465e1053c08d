// A wall of very many tiles, of which those in sight alone are in the page: the window scrolls, tiles are used again.
const LEAST = 158; // pixels of a tile's side, at least
const GAP = 10;
const AHEAD = 2; // rows before and after what is in sight
const PAGE = 200; // pictures that are asked for at once
const KEPT = 60; // such pages
const TALLEST = 15_000_000; // pixels that every browser lays out; beyond them a pixel scrolled stands for more
const FAST = 4; // screens a second, above which no thumbnail is asked for

/**
 * Fill ``root`` with ``total`` tiles. ``load(start, count)`` gives rows; ``paint(node, at, row)`` fills a tile, ``row``
 * being undefined until it has come and null where the wall moves too fast to look.
 */
export function wall(root, { total, load, paint, signal }) {
  const shown = new Map();
  const free = [];
  const pages = new Map();
  let columns = 1, side = LEAST, rows = 0, height = 0, was = 0, before = 0, due = 0;

  const measure = () => {
    const width = root.clientWidth;
    columns = Math.max(2, Math.floor((width + GAP) / (LEAST + GAP)));
    if (width < 500) columns = 3;
    side = (width + GAP) / columns - GAP;
    rows = Math.ceil(total / columns);
    height = Math.max(side, rows * (side + GAP) - GAP);
    root.style.height = `${Math.min(height, TALLEST)}px`;
    for (const [at, node] of shown) place(node, at);
    draw();
  };
  const lead = () => root.getBoundingClientRect().top + scrollY;
  const range = () => Math.max(1, Math.min(height, TALLEST) - innerHeight);
  const stretch = () => (height > TALLEST ? (height - innerHeight) / range() : 1);
  /** How far into the wall the top of the window is, in pixels of the whole wall. */
  const depth = () => (scrollY - lead()) * stretch();
  const place = (node, at) => {
    const row = Math.floor(at / columns);
    const top = row * (side + GAP) - (stretch() > 1 ? depth() - (scrollY - lead()) : 0);
    node.style.width = node.style.height = `${side}px`;
    node.style.transform = `translate(${(at % columns) * (side + GAP)}px, ${top}px)`;
  };

  const row = (at) => pages.get(Math.floor(at / PAGE))?.rows?.[at % PAGE];
  const fetchPage = (number) => {
    if (pages.has(number)) return pages.get(number).coming;
    const page = { rows: null };
    pages.set(number, page);
    page.coming = load(number * PAGE, PAGE).then((found) => { page.rows = found; draw(); }, () => pages.delete(number));
    if (pages.size > KEPT) {
      const far = [...pages.keys()].sort((a, b) => Math.abs(b - number) - Math.abs(a - number))[0];
      pages.delete(far);
    }
    return page.coming;
  };

  const fill = (node, at, found) => {
    node.waits = !found; // a tile that has its picture is left alone while the wall moves
    paint(node, at, found);
  };

  function draw() {
    const top = depth();
    const first = Math.max(0, Math.floor(top / (side + GAP)) - AHEAD) * columns;
    const last = Math.min(total, (Math.ceil((top + innerHeight) / (side + GAP)) + AHEAD) * columns);
    const now = performance.now();
    const fast = Math.abs(top - was) / innerHeight / Math.max(1, now - before) * 1000 > FAST;
    const far = stretch() > 1;
    was = top;
    before = now;
    for (const [at, node] of shown) {
      if (at >= first && at < last) continue;
      shown.delete(at);
      free.push(node);
      node.waits = false;
    }
    for (let at = first; at < last; at += 1) {
      let node = shown.get(at);
      if (!node) {
        node = free.pop() ?? root.appendChild(tile());
        if (node.hidden) node.hidden = false;
        shown.set(at, node);
        place(node, at);
        fill(node, at, fast ? null : row(at));
      } else {
        if (far) place(node, at);
        if (node.waits && !fast) fill(node, at, row(at));
      }
    }
    for (const node of free) if (!node.hidden) node.hidden = true;
    clearTimeout(due);
    if (fast) due = setTimeout(draw, 90);
    else for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page += 1) fetchPage(page);
  }

  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  addEventListener("scroll", soon, { passive: true, signal });
  const sizes = new ResizeObserver(measure);
  sizes.observe(root);
  signal.addEventListener("abort", () => { sizes.disconnect(); clearTimeout(due); });

  return {
    get columns() { return columns; },
    get rowsInSight() { return Math.max(1, Math.floor(innerHeight / (side + GAP)) - 1); },
    node: (at) => shown.get(at),
    repaint: () => { for (const [at, node] of shown) paint(node, at, row(at)); },
    /** Return a row, waiting for it where it has not come. */
    row: async (at) => { await fetchPage(Math.floor(at / PAGE)); return row(at); },
    /** Bring a tile into sight. */
    show(at) {
      const top = Math.floor(at / columns) * (side + GAP);
      const low = depth() + 70, high = depth() + innerHeight - side - 90;
      const to = (pixels) => scrollTo({ top: pixels / stretch() + lead(), behavior: "instant" });
      if (top < low) to(top - 70);
      else if (top > high) to(top - innerHeight + side + 90);
      draw();
    },
  };
}

function tile() {
  const node = document.createElement("div");
  node.className = "tile";
  node.setAttribute("role", "option");
  const image = document.createElement("img");
  image.decoding = "async";
  image.alt = "";
  const tick = document.createElement("span");
  tick.className = "tick";
  node.append(image, tick);
  return node;
}

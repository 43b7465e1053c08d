// What every screen shares: moving between screens without a full load, dropping and pasting pictures, messages.
const root = document.documentElement;
const main = document.getElementById("main");
const words = JSON.parse(document.getElementById("texts").textContent);
let leave = null;

/** Return a text of the page's language; {name} is filled in. */
export const t = (key, values = {}) =>
  (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

let codes = null;

/** Return the words for a code of "reason", "way" or "problem", which come when one is met; a plug-in's code stands for itself. */
export async function of(table, code) {
  codes ??= await fetch(`/static/codes.${root.lang}.json`).then((answer) => answer.json()).catch(() => null);
  return codes?.[`${table}.${code}`] ?? codes?.[`${table}.other`] ?? code;
}

/** Return what is wrong in the page's language; the detail, which is in English, only where it says more. */
async function explained({ code, detail }) {
  const text = await of("problem", code);
  return /^(bad_|invalid_|not_found|unknown_)/.test(code) && detail ? `${text} ${detail}` : text;
}

/** Write numbers as the page's language does. */
export const number = (value, options = {}) => value.toLocaleString(root.lang, options);
const tenths = (value) => number(value, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const percent = (value) => (value < 1 && value > 0.999 ? `> ${tenths(99.9)} %` : `${tenths(100 * value)} %`);

/** Write a number of bytes with its unit. */
export function bytes(count) {
  const names = root.lang === "fr" ? ["o", "ko", "Mo", "Go", "To"] : ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(count || 1) / 3)));
  const value = count / 1000 ** power;
  return `${number(value, { maximumFractionDigits: power && value < 100 ? 1 : 0 })} ${names[power]}`;
}

/** Show a line for a moment, and have it read aloud. */
export function say(text) {
  const line = document.createElement("p");
  line.textContent = text;
  document.getElementById("said").replaceChildren(line);
  setTimeout(() => line.remove(), 6000);
}

/** Call the API; return its JSON, or throw an error whose message can be shown. */
export async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(t("js.offline"));
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw await problem(response);
}

async function problem(response) {
  const body = await response.json().catch(() => ({ detail: response.statusText }));
  const { reason } = body;
  const text = reason ? t("js.notpicture", { reason: await of("reason", reason), way: await of("way", reason) }) : await explained(body);
  return Object.assign(new Error(text), { code: body.code, reason: body.reason });
}

export const json = (method, body) => ({ method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/** Build an element: attributes, then children; text is never read as markup. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// -------------------------------------------------------------------------------------------- moving about

/** Go to a screen: fetch its main part, put it in place, keep the address. */
export async function visit(url, { push = true, keep = false } = {}) {
  main.setAttribute("aria-busy", "true");
  let response;
  try {
    response = await fetch(url, { headers: { "X-Fragment": "1", Accept: "text/html" } });
  } catch {
    main.removeAttribute("aria-busy");
    say(t("js.offline"));
    return;
  }
  if (response.status === 401) { location.href = url; return; }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const top = scrollY;
  if (push) history.pushState({}, "", url);
  const put = () => {
    document.title = page.title;
    main.replaceChildren(...[...page.body.childNodes].map((node) => document.adoptNode(node)));
    main.removeAttribute("aria-busy");
    mark();
    begin();
    scrollTo(0, keep ? top : 0);
  };
  if (document.startViewTransition && !matchMedia("(prefers-reduced-motion: reduce)").matches) document.startViewTransition(put);
  else put();
  if (!keep) main.focus({ preventScroll: true });
}

function mark() {
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

const MODULES = { home: "search", browse: "browse", search: "search", picture: "picture", add: "add", quarantine: "add", compare: "compare", duplicates: "duplicates", map: "map" };

async function begin() {
  leave?.();
  leave = null;
  const page = main.querySelector("[data-page]");
  if (!page) return;
  const module = await import(`./${MODULES[page.dataset.page]}.js`);
  if (page.isConnected) leave = module.start(page) ?? null;
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[data-visit], a.why");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (link.matches(".why") && !link.closest("dialog")) return (await import("./why.js")).open(link);
  if ("enlarge" in link.dataset) return enlarge(link);
  visit(link.href, { keep: "keep" in link.dataset });
});

/** Show a hit large; its keys go through the hits of the page. */
async function enlarge(link) {
  const box = await import("./lightbox.js");
  let at = link;
  const step = (by) => {
    const all = [...main.querySelectorAll("a[data-enlarge]")];
    const next = all[all.indexOf(at) + by];
    if (next) at = next;
    return next ? next.closest("[data-id]").dataset.id : null;
  };
  box.enlarge(link.closest("[data-id]").dataset.id, step, () => at.focus());
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-visit]");
  if (!form) return;
  event.preventDefault();
  const values = [...new FormData(form)].filter(([, value]) => value !== "");
  visit(`${form.getAttribute("action")}?${new URLSearchParams(values)}`, { keep: "keep" in form.dataset });
});

addEventListener("popstate", () => visit(location.href, { push: false }));

// -------------------------------------------------------------------------------------------- asking with a picture

/** Search with a file: keep it on the server, then show what looks like it. */
export async function ask(file) {
  if (!file) return;
  say(t("js.uploading"));
  main.setAttribute("aria-busy", "true");
  const body = new FormData();
  body.append("picture", file, file.name || "picture");
  try {
    const { query } = await call("/api/v1/queries", { method: "POST", body });
    document.getElementById("said").replaceChildren();
    await visit(`/?query=${query}`);
  } catch (error) {
    say(error.message);
  } finally {
    main.removeAttribute("aria-busy");
  }
}

const pictures = (list) => [...(list ?? [])].filter((file) => !file.type || file.type.startsWith("image/"));
const carries = (event) => event.dataTransfer?.types.includes("Files");
const veil = document.getElementById("drop");
let depth = 0;

addEventListener("dragenter", (event) => {
  if (!carries(event) || main.querySelector("[data-addzone]")) return;
  depth += 1;
  veil.hidden = false;
});
addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) veil.hidden = true; });
addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  depth = 0;
  veil.hidden = true;
  if (!carries(event) || event.defaultPrevented) return;
  event.preventDefault();
  ask(pictures(event.dataTransfer.files)[0] ?? event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const [file] = pictures(event.clipboardData?.files);
  if (!file || main.querySelector("[data-addzone]")) return;
  event.preventDefault();
  ask(file);
});
document.addEventListener("change", (event) => {
  if (event.target.matches?.("input[data-query]")) ask(event.target.files[0]);
});

document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("sosie-theme", root.dataset.theme); } catch { /* a private window keeps nothing */ }
  dispatchEvent(new Event("themechange"));
});

begin();

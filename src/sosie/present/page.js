"use strict";
(() => {
  // Theme: what the system says, until the reader chooses; kept where the browser lets a file keep something.
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const keep = (value) => { try { localStorage.setItem("sosie-theme", value); } catch { /* private window */ } };
  const kept = () => { try { return localStorage.getItem("sosie-theme"); } catch { return null; } };
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => { button.textContent = current() === "dark" ? "Light" : "Dark"; };
  if (kept()) root.dataset.theme = kept();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark"; keep(root.dataset.theme); label();
  });
  dark.addEventListener("change", label);
  label();

  // The index follows the reading; j and k step through the parts.
  const links = [...document.querySelectorAll(".toc a")];
  const parts = links.map((a) => document.getElementById(decodeURIComponent(a.hash.slice(1))));
  let at = 0;
  const mark = (i) => {
    at = i;
    links.forEach((a, n) => n === i ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current"));
  };
  const follow = () => {
    const passed = parts.filter((p) => p && p.getBoundingClientRect().top < innerHeight / 3).length;
    mark(Math.max(0, passed - 1));
  };
  if (links.length) {
    addEventListener("scroll", follow, { passive: true });
    follow();
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      const step = { j: 1, k: -1 }[event.key];
      const next = step && parts[Math.min(parts.length - 1, Math.max(0, at + step))];
      if (next) { next.scrollIntoView(); next.focus({ preventScroll: true }); }
    });
  }
})();

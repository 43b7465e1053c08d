"use strict";
// Before the first paint, so that a dark page never flashes white.
try {
  const kept = localStorage.getItem("sosie-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* a private window keeps nothing */ }

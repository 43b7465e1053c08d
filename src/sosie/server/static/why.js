// Why a picture was found: a panel beside the grid; without a script it is a page of its own.
import { el, say, t } from "./app.js";

const end = { asking: null };

/** Open the panel of a hit, in place of another hit's. */
export async function open(link) {
  end.asking?.abort();
  const asking = end.asking = new AbortController();
  const response = await fetch(link.href, { headers: { "X-Fragment": "1" }, signal: asking.signal }).catch((error) => error.name === "AbortError" ? undefined : null);
  if (response === undefined) return;
  if (!response?.ok) return say(t("js.offline"));
  const found = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-why]");
  if (!link.isConnected) return;
  close();
  found.querySelector("[data-back]").remove();
  const panel = el("aside", { id: "why", "aria-label": t("card.why"), tabindex: -1 },
    el("button", { class: "plain close", type: "button", "aria-label": t("camera.close"), onclick: () => close(link) }, "×"), found);
  panel.addEventListener("keydown", (event) => event.key === "Escape" && close(link));
  link.setAttribute("aria-expanded", "true");
  document.querySelector("#main > [data-page]").append(panel);
  panel.focus();
}

function close(link) {
  document.getElementById("why")?.remove();
  document.querySelector("a.why[aria-expanded]")?.removeAttribute("aria-expanded");
  link?.focus();
}

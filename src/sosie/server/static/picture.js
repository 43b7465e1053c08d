// One picture: its labels, and taking it out of the library.
import { call, json, say, t, visit } from "./app.js";

const again = () => visit(location.href, { push: false, keep: true });

export function start(page, { changed = again, gone = () => visit("/") } = {}) {
  const own = `/api/v1/pictures/${page.dataset.id}`;
  const set = async (labels, done) => {
    try {
      await call(`${own}/labels`, json("PUT", { labels }));
      await changed();
      say(t(done));
    } catch (error) {
      say(error.message);
    }
  };
  page.querySelector("[data-label]").addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, value } = Object.fromEntries(new FormData(event.target));
    set({ [name]: value }, "js.saved");
  });
  for (const button of page.querySelectorAll("[data-unlabel]"))
    button.addEventListener("click", () => set({ [button.dataset.unlabel]: null }, "js.removed"));
  page.querySelector("[data-delete]").addEventListener("click", async (event) => {
    if (!confirm(event.currentTarget.dataset.sure)) return;
    try {
      await call(own, { method: "DELETE" });
      await gone();
      say(t("js.removed"));
    } catch (error) {
      say(error.message);
    }
  });
}

/**
 * Shows how old things are, once a second, by the server's clock. It acts on what the page says:
 *
 *   <time data-at="MS">            when something happened: its text is always "43 s ago"
 *   <time data-at="MS" data-lasting>   since when something is so: its text is always "43 s"
 *   <… data-at="MS" data-interval="MS">   when something was measured: the text is empty while it is fresh; when it
 *                                  is older than three intervals the text is its age, and it and its closest
 *                                  ancestor with `data-figures` get the class `stale`
 *
 * To refresh, set `element.dataset.at`.
 */
import { age, duration } from "./format.js";
import { live } from "./live.js";

/** Brings the ages within `root` up to date at once. */
export function showAges(root = document) {
  const now = live.now();
  for (const element of root.querySelectorAll("[data-at]")) {
    const at = Number(element.dataset.at);
    const interval = Number(element.dataset.interval ?? 0);
    if (!interval) {
      setText(element, "lasting" in element.dataset ? duration(now - at) : age(now - at));
      continue;
    }
    const stale = now - at > 3 * interval;
    setText(element, stale ? age(now - at) : "");
    element.classList.toggle("stale", stale);
    element.closest("[data-figures]")?.classList.toggle("stale", stale);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function startAges() {
  setInterval(showAges, 1000);
  live.on("hello", () => showAges());
}

/** The live figures of a host: bars and numbers in any element that has the marks of templates/hosts/row.html. */
import { kib, percent } from "./format.js";
import { setMeter } from "./meter.js";

/**
 * Writes a tick or pulse into `root`: elements with `data-show` get the figure of that name, meters their shares;
 * `data-interval` marks what learns when it was measured, `data-seen` where the host's last answer is told.
 */
export function showFigures(root, message) {
  const { sample } = message;
  const mem = sample.mem !== null && sample.mem_total ? (100 * sample.mem) / sample.mem_total : null;
  const texts = {
    cpu: percent(sample.cpu),
    steal: percent(sample.steal),
    mem: percent(mem),
    mem_used: kib(sample.mem),
    running: String(sample.running),
    guests: String(sample.guests),
  };
  for (const element of root.querySelectorAll("[data-show]")) {
    const text = texts[element.dataset.show];
    if (element.textContent !== text) element.textContent = text;
  }
  const shares = { cpu: sample.cpu, steal: sample.steal, mem };
  for (const svg of root.querySelectorAll("svg.meter")) {
    const parts = [...svg.children].map((rect) => rect.getAttribute("class")).filter((name) => name in shares);
    setMeter(svg, Object.fromEntries(parts.map((name) => [name, shares[name]])));
  }
  for (const element of root.querySelectorAll("[data-interval]")) {
    element.dataset.at = message.at;
    element.dataset.interval = message.interval_ms;
  }
  for (const place of root.querySelectorAll("[data-seen]")) {
    if (!place.firstElementChild) place.replaceChildren(document.createElement("time"));
    place.firstElementChild.dataset.at = message.at;
  }
}

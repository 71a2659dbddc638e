/**
 * The charts of a page (templates/components/charts.html): one range and one cursor for all, the range in the address.
 *
 *   const charts = startCharts();
 *   charts.append(seconds, sample);   // a tick's figures of what the page is about; the hour goes on with them
 *   charts.load();                    // anew, after messages may have been missed
 */
import { ChartData } from "./chart-data.js";
import { showEvents } from "./chart-events.js";
import { startKeys } from "./chart-keys.js";
import { Plot } from "./chart-plot.js";
import { savePicture } from "./chart-png.js";
import { showSpread } from "./chart-spread.js";
import { UNITS } from "./chart-units.js";
import { live } from "./live.js";

const TAIL_MS = 15_000;
const LATE_S = 90; // history of the last moments may have been incomplete when it was read
const LEAST_SPAN_S = 60;

export function startCharts() {
  const place = document.getElementById("charts");
  const note = place.querySelector("[data-note]");
  const hint = place.querySelector("[data-hint]");
  const boxes = [...place.querySelectorAll("[data-chart]")];
  const data = new Map();
  let body = null;
  let asked = 0;

  const page = {
    group: "page",
    events: () => body?.events ?? [],
    span: () => {
      const end = body.live ? Math.max(body.at.at(-1), live.now() / 1000) : body.at.at(-1);
      return [body.live ? end - 3600 : body.at[0], end];
    },
    zoom: (from, to) => {
      const least = Math.max(to - from, LEAST_SPAN_S);
      choose(`${place.dataset.kept}from=${Math.floor(from)}&to=${Math.ceil(from + least)}`);
    },
    reset: () => place.dataset.query !== place.dataset.before && choose(place.dataset.before),
    say: (words) => {
      place.querySelector("[data-said]").textContent = words;
    },
  };
  const plots = new Map(boxes.map((box) => [box.dataset.chart, new Plot(box.querySelector("[data-plot]"), page)]));

  function draw() {
    for (const box of boxes) {
      const joined = data.get(box.dataset.chart).joined();
      plots.get(box.dataset.chart).show(joined);
      box.querySelector("[data-none]").hidden = joined.lines.some((line) =>
        line.values.some((value) => value !== null),
      );
    }
  }

  function showNote(words) {
    note.textContent = words;
    note.hidden = !words;
  }

  async function fetchBody(more = "") {
    const answer = await fetch(`${place.dataset.address}.json?${place.dataset.query}${more}`).catch(() => null);
    const found = await answer?.json().catch(() => null);
    if (answer?.ok) return found;
    showNote(found ? `${found.error} ${found.hint}` : "The server does not answer. It is tried again.");
    return null;
  }

  async function load() {
    const turn = ++asked;
    place.ariaBusy = "true";
    const found = await fetchBody();
    if (turn !== asked) return; // another range was chosen meanwhile
    place.ariaBusy = "false";
    if (!found) return;
    body = found;
    showNote(body.note);
    data.clear();
    for (const [key, spec] of Object.entries(body.charts)) data.set(key, new ChartData(body.at, spec));
    for (const box of boxes) {
      showLimits(box, body.charts[box.dataset.chart]);
      showSpread(box, body.charts[box.dataset.chart]);
    }
    draw();
    showEvents(place.querySelector("[data-events]"), body);
  }

  /** What came since. */
  async function goOn() {
    if (document.visibilityState !== "visible") return;
    if (!body?.live) {
      if (body?.range && live.now() / 1000 - body.at.at(-1) > 2 * Math.min(body.step, 300)) await load();
      else if (!body) await load();
      return;
    }
    const turn = asked;
    const more = await fetchBody(`&after=${body.at.at(-1) - LATE_S}`);
    if (!more || turn !== asked) return;
    showNote(more.note);
    for (const [key, spec] of Object.entries(more.charts)) {
      if (!data.get(key).merge(more.at, spec)) return load();
    }
    for (const box of boxes) showSpread(box, more.charts[box.dataset.chart]);
    body.at = data.values().next().value.at;
    const known = new Set(body.events.map((event) => event.url || event.text + event.at));
    const later = more.events.filter((event) => !known.has(event.url || event.text + event.at));
    body.events = [...body.events.filter((event) => event.at > body.at[0]), ...later];
    draw();
    showEvents(place.querySelector("[data-events]"), body);
  }

  /** Another range, without loading the page anew. */
  function choose(query, isNews = true) {
    if (place.dataset.query.includes("range=")) place.dataset.before = place.dataset.query;
    place.dataset.query = query;
    if (isNews) history.pushState(null, "", `?${query}`);
    for (const link of place.querySelectorAll("[data-range]")) {
      const here = query.endsWith(`range=${link.dataset.range}`);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const back = place.querySelector("[data-back]");
    back.hidden = query.includes("range=");
    back.href = `?${place.dataset.before}#charts`;
    hint.hidden = !back.hidden;
    place.querySelector("[data-csv]").href = `${place.dataset.address}.csv?${query}`;
    load();
  }

  for (const link of place.querySelectorAll("[data-range], [data-back]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      choose(new URL(link.href).search.slice(1));
    });
  }
  for (const box of boxes) {
    startKeys(box.querySelector("[data-plot]"), plots.get(box.dataset.chart), page);
    const button = box.querySelector("[data-png]");
    button.hidden = false;
    button.addEventListener("click", () => {
      const plot = plots.get(box.dataset.chart);
      if (plot.canvas)
        savePicture(plot, `${document.querySelector("h1").textContent.trim()} ${box.ariaLabel}`, page.span());
    });
  }
  addEventListener("popstate", () => choose(location.search.slice(1) || `${place.dataset.kept}range=hour`, false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of plots.values()) plot.again();
  });
  new ResizeObserver(() => {
    for (const plot of plots.values()) plot.resize();
  }).observe(place);
  hint.hidden = !place.dataset.query.includes("range=");
  setInterval(goOn, TAIL_MS);
  load();

  return {
    load,
    append(at, sample) {
      if (!body?.live) return;
      for (const one of data.values()) one.append(at, sample);
      draw();
    },
  };
}

function showLimits(box, { limits, unit }) {
  const words = limits.map(([label, value]) => `${label} ${UNITS[unit].write(value)}`);
  box.querySelector("[data-limits]").textContent = words.join(" · ");
}

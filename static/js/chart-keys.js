/**
 * A chart without a mouse: arrow keys move the cursor of all charts from point to point, with Shift they mark a part,
 * Enter shows it finer, Escape drops it or goes back. Where the cursor is, is said.
 */
import { momentWords } from "./chart-axes.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY };
const AWAY = { left: -10, top: -10 };

/** @param {import("./chart-plot.js").Plot} plot */
export function startKeys(box, plot, { zoom, reset, say }) {
  let anchor = null; // the moment at which marking began
  box.tabIndex = 0;
  box.role = "application";
  box.ariaLabel = box.closest("[data-chart]").ariaLabel;
  box.setAttribute("aria-describedby", "charts-keys");

  function newest([at]) {
    const known = at.findLastIndex((_, index) => plot.spec.lines.some((line) => line.values[index] !== null));
    return known < 0 ? at.length - 1 : known;
  }

  function move(chart, by, marks) {
    const [at] = chart.data;
    const { min, max } = chart.scales.x;
    const pixel = (moment) => Math.max(0, chart.valToPos(moment, "x"));
    const words = (moment) => momentWords(moment, max - min);
    const here = chart.cursor.idx ?? null;
    const before = here ?? newest(chart.data);
    const begins = here === null && !marks && Number.isFinite(by); // the first step shows the newest point
    const wanted = begins ? before : before + by;
    const low = at.findIndex((moment) => moment >= min);
    const high = at.findLastIndex((moment) => moment <= max);
    const to = Math.max(low, Math.min(high, wanted));
    if (marks) anchor ??= at[before];
    else unmark(chart);
    chart.setCursor({ left: pixel(at[to]), top: 0 }, true, true);
    if (anchor === null) return say(`${words(at[to])}: ${plot.words(to)}`);
    const [from, until] = [anchor, at[to]].sort((a, b) => a - b);
    const left = pixel(from);
    chart.setSelect({ left, width: pixel(until) - left, top: 0, height: chart.over.clientHeight }, false);
    say(`Marked from ${words(from)} to ${words(until)}: ${plot.words(to)}`);
  }

  function unmark(chart) {
    anchor = null;
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  function enter(chart) {
    const [from, until] = [anchor, chart.data[0][chart.cursor.idx]].sort((a, b) => a - b);
    unmark(chart);
    chart.setCursor(AWAY, true, true);
    zoom(from, until);
    say("All charts show the part that was marked.");
  }

  box.addEventListener("keydown", (event) => {
    const chart = plot.drawn;
    if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in STEPS) move(chart, STEPS[event.key], event.shiftKey);
    else if (event.key === "Enter" && anchor !== null) enter(chart);
    else if (event.key === "Escape" && anchor !== null) unmark(chart);
    else if (event.key === "Escape") reset();
    else return;
    event.preventDefault();
  });
  box.addEventListener("blur", () => {
    if (!plot.drawn) return;
    unmark(plot.drawn);
    plot.drawn.setCursor(AWAY, true, true);
  });
}

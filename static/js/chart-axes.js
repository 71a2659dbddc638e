/** The axes of a chart: time below, values at the right. */
import { color } from "./chart-colors.js";

const DAY_S = 86400;
const EDGE_PX = 18; // a label nearer to the left edge would be cut
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function midnight(date) {
  return date.getHours() === 0 && date.getMinutes() === 0;
}

function timeWords(at, step) {
  const date = new Date(at * 1000);
  if (step < DAY_S && !midnight(date)) return date.toLocaleTimeString([], CLOCK);
  if (step < 28 * DAY_S) return date.toLocaleDateString([], { day: "numeric", month: "short" });
  return date.toLocaleDateString([], { month: "short", year: "numeric" });
}

/** The exact time in the legend: with its day where the chart shows several. */
export function momentWords(at, span) {
  const date = new Date(at * 1000);
  const clock = { ...CLOCK, second: span <= DAY_S ? "2-digit" : undefined };
  const day = span > DAY_S / 2 ? { day: "numeric", month: "short" } : {};
  return date.toLocaleString([], { ...day, ...clock });
}

function splits(low, high, step) {
  return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, number) => low + number * step);
}

/** `top`: where the values end; 0 when that is not known. */
export function axes({ write, steps }, top) {
  const line = {
    stroke: color("--faint"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui",
  };
  return [
    {
      ...line,
      size: 24,
      space: 60,
      values: (plot, ticks, _, __, step) =>
        ticks.map((at) => (plot.valToPos(at, "x") < EDGE_PX ? "" : timeWords(at, step))),
    },
    {
      ...line,
      side: 1,
      size: 66,
      splits: (_, __, low, high, step) => (top() ? [0, top() / 2, top()] : splits(low, high, step)),
      ...(steps ? { incrs: steps } : {}),
      values: (_, ticks) => ticks.map(write),
    },
  ];
}

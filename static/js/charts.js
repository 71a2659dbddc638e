/**
 * The charts of a guest's last hour, with one time range and one cursor.
 *
 *   const charts = drawCharts(element);      // for each `[data-chart]` within it
 *   charts.load({ at: [seconds…], cpu: […], … });
 *   charts.append(seconds, sample);          // a GuestSample
 *   charts.fail("why");
 */
import uPlot from "../uplot/uPlot.esm.js";
import { bytes, percent, perSecond } from "./format.js";

const HOUR_S = 3600;
const HEIGHT = 120;
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const ROUND = Array.from({ length: 50 }, (_, power) => 2 ** power); // steps of an axis with binary units
const CHARTS = {
  cpu: {
    unit: percent,
    most: () => 100,
    series: [
      ["cpu", "CPU", "--cpu"],
      ["total", "with steal", "--steal"],
    ],
  },
  memory: { unit: bytes, most: (kibs) => kibs * 1024, series: [["mem", "used", "--mem"]] },
  disk: {
    unit: perSecond,
    series: [
      ["rd", "read", "--disk"],
      ["wr", "written", "--warn"],
    ],
  },
  network: {
    unit: perSecond,
    series: [
      ["rx", "received", "--net"],
      ["tx", "sent", "--accent"],
    ],
  },
};

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(name, box, memoryKib) {
  const { unit, series, most } = CHARTS[name];
  const top = most?.(memoryKib);
  const axis = {
    stroke: color("--faint"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui",
  };
  const lines = series.map(([, label, shade]) => ({
    label,
    stroke: color(shade),
    fill: `${color(shade)}2e`,
    width: 1.4,
    points: { show: false },
    // Away from the cursor, the newest.
    value: (plot, value, index, at) => unit(at === null ? plot.data[index].at(-1) : value),
  }));
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [8, 0, 0, 4],
    cursor: { sync: { key: "guest" }, drag: { x: false, y: false }, points: { size: 5 } },
    legend: { live: true },
    scales: {
      x: { time: true, range: (_, __, last) => [last - HOUR_S, last] },
      y: { range: (_, _low, high) => [0, top ?? Math.max(1024, high ?? 0) * 1.1] },
    },
    axes: [
      { ...axis, size: 24, values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString([], CLOCK)) },
      {
        ...axis,
        side: 1,
        size: 66,
        incrs: ROUND,
        splits: top ? () => [0, top / 2, top] : undefined,
        values: (_, ticks) => ticks.map(unit),
      },
    ],
    series: [
      { value: (_, at) => (at ? new Date(at * 1000).toLocaleTimeString([], { ...CLOCK, second: "2-digit" }) : "") },
      ...lines.reverse(),
    ],
  };
}

export function drawCharts(place) {
  const boxes = new Map([...place.querySelectorAll("[data-chart]")].map((box) => [box.dataset.chart, box]));
  const memoryKib = Number(place.dataset.memory);
  const plots = new Map();
  const note = place.querySelector("[data-note]");
  let data = null;

  function columns(name) {
    const values = {
      ...data,
      total: data.cpu.map((cpu, index) => (cpu === null ? null : cpu + (data.steal[index] ?? 0))),
    };
    return [data.at, ...CHARTS[name].series.map(([key]) => values[key]).reverse()];
  }

  function draw() {
    for (const [name, box] of boxes) {
      if (!plots.has(name)) {
        box.replaceChildren();
        plots.set(name, new uPlot(options(name, box, memoryKib), columns(name), box));
      } else plots.get(name).setData(columns(name));
    }
  }

  function again() {
    for (const plot of plots.values()) plot.destroy();
    plots.clear();
    if (data) draw();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new ResizeObserver(() => {
    for (const [name, plot] of plots) plot.setSize({ width: boxes.get(name).clientWidth, height: HEIGHT });
  }).observe(place);

  return {
    load(body) {
      data = body;
      note.hidden = true;
      draw();
    },
    append(at, sample) {
      if (!data) return;
      const values = { ...sample, at, mem: sample.mem === null ? null : sample.mem * 1024 };
      const old = data.at.findIndex((time) => time >= at - HOUR_S);
      for (const [key, series] of Object.entries(data)) {
        series.splice(0, old);
        series.push(values[key] ?? null);
      }
      draw();
    },
    /** Without the past, the charts begin now. */
    fail(why) {
      note.textContent = why;
      note.hidden = false;
      data ??= Object.fromEntries(["at", "cpu", "steal", "mem", "rd", "wr", "rx", "tx"].map((key) => [key, []]));
    },
  };
}

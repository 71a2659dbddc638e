/**
 * One chart of a page.
 *
 *   const chart = new Plot(box, { group, events: () => […], span: () => [from, to], zoom: (from, to) => …, reset });
 *   chart.show({ at, unit, stacked, top, limits, lines: [{ label, color, mark, values }] });
 *
 * All charts of a `group` share their cursor. Where nothing is known the line has a gap.
 */
import uPlot from "../uplot/uPlot.esm.js";
import { axes, momentWords } from "./chart-axes.js";
import { shades } from "./chart-colors.js";
import { marks, near } from "./chart-marks.js";
import { UNITS } from "./chart-units.js";

const HEIGHT = 140;
const LEAST_DRAG_PX = 8;

/** Stacked, each line stands on those before it; one that is unknown does not lift the others. */
function heights({ lines, stacked }) {
  if (!stacked) return lines.map((line) => line.values);
  const ground = [];
  return lines.map((line) => {
    if (line.mark) return line.values;
    return line.values.map((value, index) => {
      if (value === null) return null;
      ground[index] = (ground[index] ?? 0) + value;
      return ground[index];
    });
  });
}

export class Plot {
  #box;
  #page;
  #plot = null;
  #spec = null;
  #look = "";
  #highest = 0;

  constructor(box, page) {
    this.#box = box;
    this.#page = page;
  }

  get canvas() {
    return this.#plot?.ctx.canvas;
  }

  /** uPlot's own chart, once there is one. */
  get drawn() {
    return this.#plot;
  }

  /** One point, as the legend has it. */
  words(at) {
    const { lines, unit } = this.#spec;
    return lines.map((line, index) => `${line.label} ${UNITS[unit].write(this.#raw(index, at))}`).join(", ");
  }

  get spec() {
    return this.#spec;
  }

  get colors() {
    return shades(this.#spec.lines);
  }

  show(spec) {
    this.#spec = spec;
    const look = JSON.stringify([spec.unit, spec.top, spec.limits, spec.lines.map((line) => line.label)]);
    const data = [spec.at, ...heights(spec)];
    this.#highest = Math.max(0, ...data.slice(1).flat());
    if (this.#plot && look === this.#look) {
      this.#plot.setData(data);
      return;
    }
    this.#look = look;
    this.#plot?.destroy();
    this.#box.replaceChildren();
    this.#plot = new uPlot(this.#options(), data, this.#box);
  }

  /** In other colours or another size. */
  again() {
    this.#look = "";
    if (this.#spec) this.show(this.#spec);
  }

  resize() {
    this.#plot?.setSize({ width: this.#box.clientWidth, height: HEIGHT });
  }

  #limits() {
    return near(this.#spec.limits, this.#highest);
  }

  #top() {
    const { top, unit } = this.#spec;
    const limits = this.#limits().map(([, value]) => value);
    const highest = Math.max(this.#highest, ...limits);
    if (top) return Math.max(top, highest);
    return Math.max(UNITS[unit].least, highest * 1.1);
  }

  #options() {
    const { unit, lines, stacked, top } = this.#spec;
    const { write } = UNITS[unit];
    const tints = this.colors;
    const drawn = lines.map((line, index) => ({
      label: line.label,
      stroke: tints[index],
      fill: line.mark || (stacked && index) ? undefined : `${tints[index]}${stacked ? "66" : "26"}`,
      dash: line.mark ? [4, 4] : undefined,
      width: 1.4,
      // A single known point between gaps has no line: it is drawn as a dot.
      points: { show: undefined, size: 4, filter: (plot, number) => alone(plot.data[number]) },
      value: (_, __, number, at) => write(this.#raw(number - 1, at)),
    }));
    const bands = stacked
      ? lines
          .slice(1)
          .flatMap((line, index) =>
            line.mark ? [] : [{ series: [index + 2, index + 1], fill: `${tints[index + 1]}66` }],
          )
      : [];
    return {
      width: this.#box.clientWidth,
      height: HEIGHT,
      padding: [8, 0, 0, 4],
      cursor: {
        y: false,
        sync: { key: this.#page.group, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG_PX },
        bind: { dblclick: () => () => this.#page.reset() },
        points: { size: 5 },
      },
      legend: { live: true },
      scales: { x: { time: true, range: () => this.#page.span() }, y: { range: () => [0, this.#top()] } },
      axes: axes(UNITS[unit], () => (top && this.#highest <= top ? top : 0)),
      bands,
      series: [{ value: (plot, at) => (at ? momentWords(at, plot.scales.x.max - plot.scales.x.min) : "") }, ...drawn],
      plugins: [marks(this.#page.events, () => this.#limits())],
      hooks: { setSelect: [(plot) => this.#select(plot)] },
    };
  }

  /** What the legend says: the value itself, not its height in the stack; away from the cursor the newest. */
  #raw(index, at) {
    const { values } = this.#spec.lines[index];
    return at === null || at === undefined ? values.findLast((value) => value !== null) : values[at];
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG_PX) return;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#page.zoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  }
}

function alone(values) {
  const known = (index) => values[index] !== null && values[index] !== undefined;
  const found = [];
  values.forEach((_, index) => {
    if (known(index) && !known(index - 1) && !known(index + 1)) found.push(index);
  });
  return found;
}

/**
 * The figures of one chart as they come: history on its time grid, and at its end what ticks told since.
 *
 * History is late by some seconds; as soon as it is there it takes the place of what ticks told.
 */

const HOUR_S = 3600;
const GAP_S = 15; // with nothing for so long, the line is broken

export class ChartData {
  constructor(at, spec) {
    this.at = at;
    this.spec = spec;
    this.ticks = []; // [at, one value for each line]
  }

  /** More history: from its first moment on it replaces what was known. False: its lines are others. */
  merge(at, spec) {
    const labels = (lines) => lines.map((line) => line.label).join("\n");
    if (labels(spec.lines) !== labels(this.spec.lines)) return false;
    const kept = this.at.filter((one) => one < at[0] && one >= at.at(-1) - HOUR_S).length;
    const first = this.at.findIndex((one) => one >= at.at(-1) - HOUR_S);
    this.spec.lines.forEach((line, index) => {
      line.values = [...line.values.slice(first, first + kept), ...spec.lines[index].values];
    });
    this.at = [...this.at.slice(first, first + kept), ...at];
    this.ticks = this.ticks.filter(([one]) => one > at.at(-1) - 2 * 60);
    return true;
  }

  /** One tick: the sample's figures by name. */
  append(at, sample) {
    const values = this.spec.lines.map(({ live, scale }) => {
      const value = live ? sample[live] : null;
      return value === null || value === undefined ? null : value * scale;
    });
    if (values.every((value) => value === null)) return;
    const before = this.ticks.at(-1)?.[0];
    if (before && at - before > GAP_S) this.ticks.push([(at + before) / 2, values.map(() => null)]);
    this.ticks.push([at, values]);
  }

  /** What to draw. */
  joined() {
    const known = this.at.findLastIndex((_, index) => this.spec.lines.some((line) => line.values[index] !== null)) + 1;
    const until = known ? this.at[known - 1] : 0;
    const newer = this.ticks.filter(([at]) => at > until);
    if (!newer.length) return { ...this.spec, at: this.at };
    return {
      ...this.spec,
      at: [...this.at.slice(0, known), ...newer.map(([at]) => at)],
      lines: this.spec.lines.map((line, index) => ({
        ...line,
        values: [...line.values.slice(0, known), ...newer.map(([, values]) => values[index])],
      })),
    };
  }
}

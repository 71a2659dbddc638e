/** How each unit of vmdash/metrics/charts.py is written, and the steps of its axis. Unknown is a dash, never 0. */
import { bytes, number, percent, perSecond, UNKNOWN } from "./format.js";

const BINARY = Array.from({ length: 60 }, (_, power) => 2 ** power);
const SMALL_PERCENT = 1;

function known(write) {
  return (value) => (value === null || value === undefined ? UNKNOWN : write(value));
}

function few(value) {
  return value >= 100 || Number.isInteger(value) ? number(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function seconds(value) {
  if (value >= 1) return `${few(value)} s`;
  if (value >= 0.001 || value === 0) return `${few(value * 1000)} ms`;
  return `${few(value * 1e6)} µs`;
}

/** `least`: an axis goes at least so far up, so that next to nothing does not look like much. */
export const UNITS = {
  percent: { write: percent, least: SMALL_PERCENT },
  bytes: { write: bytes, steps: BINARY, least: 1024 },
  per_second: { write: perSecond, steps: BINARY, least: 1024 },
  number: { write: known(few), least: 1 },
  each_second: { write: known((value) => `${few(value)}/s`), least: 1 },
  seconds: { write: known(seconds), least: 0.001 },
};

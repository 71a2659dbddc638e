/**
 * Numbers, sizes and times in words: the same as the template filters of vmdash/main/templatetags/ui.py.
 * Unknown (null or undefined) is a dash, never 0.
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export const UNKNOWN = "–";

/** 12800 → "12,800" */
export function number(value) {
  return value.toLocaleString("en");
}

/** 1536 → "1.5 KiB" */
export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 || Number.isInteger(size) ? 0 : 1;
  return `${size.toFixed(digits).replace(/\.0$/, "")} ${UNITS[unit]}`;
}

export function kib(value) {
  return value === null || value === undefined ? UNKNOWN : bytes(value * 1024);
}

export function perSecond(value) {
  return value === null || value === undefined ? UNKNOWN : `${bytes(value)}/s`;
}

/** 31.4 → "31 %"; between 0 and 10 with one digit when it is not whole: "0.4 %" */
export function percent(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const digits = value > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, "")} %`;
}

/** Milliseconds → "43 s", "12 min", "3 h", "9 d" */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function age(ms) {
  return ms < 1500 ? "now" : `${duration(ms)} ago`;
}

/** The exact time, for titles. */
export function exact(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

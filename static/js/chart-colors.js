/** Colours of static/css/tokens.css as they are now, light or dark. */

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function channels(hex) {
  const long = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
  return [1, 3, 5].map((at) => Number.parseInt(long.slice(at, at + 2), 16));
}

function mixed(hex, other, share) {
  const to = channels(other);
  const parts = channels(hex).map((value, index) => Math.round(value + (to[index] - value) * share));
  return `#${parts.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Of each line its colour: lines that share one get shades of it. */
export function shades(lines) {
  const ground = color("--panel");
  const all = byColor(lines);
  return lines.map((line) => {
    const family = all.get(line.color);
    const place = family.indexOf(line);
    return family.length === 1 ? color(line.color) : mixed(color(line.color), ground, (0.6 * place) / family.length);
  });
}

function byColor(lines) {
  const found = new Map();
  for (const line of lines) found.set(line.color, [...(found.get(line.color) ?? []), line]);
  return found;
}

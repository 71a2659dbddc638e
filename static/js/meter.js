/**
 * Bars: the SVG of templates/components/meter.html, whose parts are `rect`s in percent.
 *
 *   setMeter(svg, { cpu: 43, steal: 31 });   // stacked in the order given
 */

const SVG = "http://www.w3.org/2000/svg";

/** A new bar with the given parts, such as `["cpu", "steal"]`. */
export function meter(parts) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "meter");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const part of parts) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", part);
    rect.setAttribute("height", "8");
    svg.append(rect);
  }
  return svg;
}

export function setMeter(svg, shares) {
  let x = 0;
  for (const [part, share] of Object.entries(shares)) {
    const width = Math.max(0, Math.min(100 - x, share ?? 0));
    const rect = svg.querySelector(`.${part}`);
    rect.setAttribute("x", x.toFixed(1));
    rect.setAttribute("width", width.toFixed(1));
    x += width;
  }
}

/** `<svg class="icon">` of templates/components/icons.html */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

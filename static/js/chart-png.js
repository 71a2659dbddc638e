/** A chart as a PNG file, with its title, its legend and the time that it shows. */
import { color } from "./chart-colors.js";
import { UNITS } from "./chart-units.js";

const HEAD = 44;
const LINE = 18;
const EDGE = 10;

function moment(at) {
  return new Date(at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** @param {import("./chart-plot.js").Plot} plot */
export function savePicture(plot, title, [from, to]) {
  const scale = devicePixelRatio;
  const source = plot.canvas;
  const { lines, limits, unit } = plot.spec;
  const words = [
    ...lines.map((line, index) => [plot.colors[index], line.label]),
    ...limits.map(([label, value]) => [color("--bad"), `${label} ${UNITS[unit].write(value)}`]),
  ];
  const canvas = document.createElement("canvas");
  const ctx = canvas.getContext("2d");
  const width = source.width / scale + 2 * EDGE;
  const font = (size, weight = 400) => `${weight} ${size}px system-ui, sans-serif`;
  ctx.font = font(12);
  const places = [];
  let [x, row] = [EDGE, 0];
  for (const [, label] of words) {
    const wide = ctx.measureText(label).width + 30;
    if (x + wide > width && x > EDGE) [x, row] = [EDGE, row + 1];
    places.push([x, row]);
    x += wide;
  }
  canvas.width = width * scale;
  canvas.height = source.height + (HEAD + (row + 1) * LINE + EDGE) * scale;
  ctx.scale(scale, scale);
  ctx.fillStyle = color("--panel");
  ctx.fillRect(0, 0, width, canvas.height / scale);
  ctx.fillStyle = color("--ink");
  ctx.font = font(14, 650);
  ctx.fillText(title, EDGE, 18);
  ctx.fillStyle = color("--muted");
  ctx.font = font(12);
  ctx.fillText(`${moment(from)} – ${moment(to)}`, EDGE, 36);
  ctx.drawImage(source, EDGE, HEAD, source.width / scale, source.height / scale);
  const foot = HEAD + source.height / scale + 12;
  words.forEach(([shade, label], index) => {
    const [left, line] = places[index];
    ctx.fillStyle = shade;
    ctx.fillRect(left, foot + line * LINE - 8, 9, 9);
    ctx.fillStyle = color("--muted");
    ctx.fillText(label, left + 14, foot + line * LINE);
  });
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${title.replace(/[^\p{L}\p{N}.-]+/gu, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}

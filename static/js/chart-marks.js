/** What is drawn beside the lines: limits across, and what happened, on the time axis. */
import { color } from "./chart-colors.js";

const TONES = { bad: "--bad", warn: "--warn", busy: "--busy" };
const FAR = 10; // a limit so many times above the highest value would press everything else to the ground

/** The limits that are near enough to the values to be drawn. */
export function near(limits, highest) {
  return limits.filter(([, value]) => !highest || value <= FAR * highest);
}

/** A plugin of uPlot. `events` and `limits` are asked for at each drawing. */
export function marks(events, limits) {
  function draw(plot) {
    const { ctx, bbox } = plot;
    const { left, top, width, height } = bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    for (const event of events()) drawEvent(plot, event);
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.strokeStyle = color("--bad");
    for (const [, value] of limits()) {
      const y = plot.valToPos(value, "y", true);
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  function drawEvent(plot, event) {
    const { ctx, bbox } = plot;
    const x = plot.valToPos(event.at, "x", true);
    const end = event.until ? plot.valToPos(event.until, "x", true) : x;
    if (end < bbox.left || x > bbox.left + bbox.width) return;
    const shade = color(TONES[event.tone] ?? "--faint");
    const foot = bbox.top + bbox.height;
    const size = 4 * devicePixelRatio;
    if (end - x > 2) {
      ctx.fillStyle = `${shade}22`;
      ctx.fillRect(x, bbox.top, end - x, bbox.height);
    }
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.strokeStyle = shade;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, foot);
    ctx.stroke();
    ctx.fillStyle = shade;
    ctx.beginPath();
    ctx.moveTo(x - size, foot);
    ctx.lineTo(x + size, foot);
    ctx.lineTo(x, foot - 1.6 * size);
    ctx.fill();
  }

  return { hooks: { draw } };
}

/** The live figures, the charts, and the picture of the screen on a guest's page. */
import { showAges } from "./ages.js";
import { startCharts } from "./charts.js";
import { kib, percent, perSecond } from "./format.js";
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const { uuid } = document.getElementById("guest-head").dataset;
const FORMATS = {
  cpu: percent,
  steal: percent,
  steal_max: percent,
  mem: kib,
  rss: kib,
  rd: perSecond,
  wr: perSecond,
  rx: perSecond,
  tx: perSecond,
};
const MUCH_STEAL = 10;
const refreshFigures = refresher(["figures", "screen"]);
const charts = startCharts();

function showFigures(tick, sample) {
  const box = document.getElementById("figures");
  const time = box.querySelector("time");
  if (!time) return refreshFigures(); // the first figures
  for (const [name, format] of Object.entries(FORMATS)) {
    box.querySelector(`[data-show="${name}"]`).textContent = format(sample[name]);
  }
  box.querySelector('[data-show="steal"]').classList.toggle("bad", sample.steal >= MUCH_STEAL);
  time.dataset.at = tick.at;
  time.dataset.interval = tick.interval_ms;
  showAges(box);
}

live.on("tick", (tick) => {
  const sample = tick.guests[uuid];
  if (!sample) return;
  showFigures(tick, sample);
  charts.append(tick.at / 1000, sample);
});
live.on("guest", ({ row }) => {
  if (row.uuid === uuid) refreshFigures();
});
live.on("ready", ({ again }) => {
  if (again) charts.load();
});

live.on("screen", (message) => {
  const picture = document.getElementById("picture");
  if (message.uuid !== uuid || !picture) return;
  picture.src = `${document.getElementById("screen").dataset.picture}?at=${message.at}`;
  picture.hidden = false;
  document.getElementById("no-picture").hidden = true;
  document.getElementById("screen-age").dataset.at = message.at;
});
if (document.getElementById("screen")) live.watch("screen", [`guest:${uuid}`]);

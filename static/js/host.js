/** The page of one host, kept up to date: its figures, its state, its guests. */
import { showAges } from "./ages.js";
import { startCharts } from "./charts.js";
import { percent } from "./format.js";
import { showFigures } from "./host-figures.js";
import { jobNews } from "./job-progress.js";
import { live } from "./live.js";
import { setMeter } from "./meter.js";
import { refresher } from "./refresh.js";

const host = Number(document.getElementById("host").dataset.host);
const charts = startCharts();
const refreshCells = refresher(["cells"]);
let lookedAt = Number(document.querySelector("#cells-title time")?.dataset.at ?? 0);
const refresh = refresher(["host", "trouble", "maintenance", "facts", "cells", "guests", "resources", "jobs"]);

function showGuest(row, sample, tick) {
  const own = (name) => row.querySelector(`[data-show="${name}"]`);
  own("cpu").textContent = percent(sample.cpu);
  own("steal").textContent = percent(sample.steal);
  const memory = Number(row.dataset.memoryKib);
  setMeter(row.querySelector(".cpu").parentNode, { cpu: sample.cpu });
  setMeter(row.querySelector(".mem").parentNode, { mem: sample.mem && memory ? (100 * sample.mem) / memory : null });
  const age = row.querySelector("[data-interval]");
  age.dataset.at = tick.at;
  age.dataset.interval = tick.interval_ms;
}

live.on("tick", (tick) => {
  if (tick.host !== host) return;
  showFigures(document.getElementById("now"), tick);
  charts.append(tick.at / 1000, tick.sample);
  for (const [uuid, sample] of Object.entries(tick.guests)) {
    const row = document.querySelector(`tr[data-guest="${uuid}"]`);
    if (row) showGuest(row, sample, tick);
  }
  showAges();
  if ((tick.looked_at ?? 0) === lookedAt || !document.querySelector("#cells .cpu-map")) return;
  lookedAt = tick.looked_at ?? 0;
  refreshCells();
});
live.on("host", (message) => {
  if (message.host === host) refresh();
});
live.on("host_gone", (message) => {
  if (message.host === host) location.href = "/hosts/";
});
live.on("guest", refresh);
live.on("guest_gone", refresh);
const isNews = jobNews();
live.on("job", (job) => {
  if (isNews(job)) refresh();
});
live.on("storage", refresh);
live.on("ready", ({ again }) => {
  if (!again) return;
  refresh();
  charts.load();
});
live.watch("page", [`host:${host}`]);

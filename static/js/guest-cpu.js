/** The CPU part of a guest's page: read anew while it is open, since what it says changes by the minute. */
import { startCharts } from "./charts.js";
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const EVERY_MS = 10_000;
const refresh = refresher(["cpu"]);
const charts = startCharts();
const { uuid } = document.getElementById("guest-head").dataset;
let last = 0;

live.on("tick", (tick) => {
  if (tick.guests[uuid]) charts.append(tick.at / 1000, tick.guests[uuid]);
  if (Date.now() - last < EVERY_MS) return;
  last = Date.now();
  refresh();
});
live.on("ready", ({ again }) => {
  if (again) charts.load();
});

/** The charts on the CPU part of a guest's page; guest.js keeps the rest up to date. */
import { startCharts } from "./charts.js";
import { live } from "./live.js";

const charts = startCharts();
const { uuid } = document.getElementById("guest-head").dataset;

live.on("tick", (tick) => {
  if (tick.guests[uuid]) charts.append(tick.at / 1000, tick.guests[uuid]);
});
live.on("ready", ({ again }) => {
  if (again) charts.load();
});

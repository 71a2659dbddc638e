/** The charts of a page whose other parts know nothing of them: fleet, pool. */
import { startCharts } from "./charts.js";
import { live } from "./live.js";

const charts = startCharts();

live.on("ready", ({ again }) => {
  if (again) charts.load();
});

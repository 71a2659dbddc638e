/** The list of hosts, kept up to date: figures as they come, rows anew when a host or its state changes. */
import { showAges } from "./ages.js";
import { showFigures } from "./host-figures.js";
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const refresh = refresher(["hosts"]);

live.on("pulse", (message) => {
  const row = document.querySelector(`tr[data-host="${message.host}"]`);
  if (!row) return;
  showFigures(row, message);
  showAges(row);
});
live.on("host", refresh);
live.on("host_gone", refresh);
live.on("ready", ({ again }) => {
  if (again) refresh();
});
live.watch("page", ["fleet", "pulses"]);

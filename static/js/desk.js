/** The help desk's cards, loaded anew when something changes. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const refresh = refresher(["cards"]);

for (const type of ["guest", "guest_gone", "host", "host_gone", "job"]) live.on(type, refresh);
live.on("ready", ({ again }) => {
  if (again) refresh();
});
live.watch("page", ["fleet"]);

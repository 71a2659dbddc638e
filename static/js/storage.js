/** The pages about pools and chains of the whole fleet, loaded anew when something changes there. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const refresh = refresher(["pools", "chains"].filter((id) => document.getElementById(id)));

for (const type of ["storage", "host", "host_gone", "guest_gone"]) live.on(type, refresh);
if (document.getElementById("chains")) live.on("guest", refresh);
live.on("ready", ({ again }) => {
  if (again) refresh();
});
live.watch("page", ["fleet"]);

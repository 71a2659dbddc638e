/** The page on which a guest is moved: check lists as they come, and how far it is. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const page = document.getElementById("move").dataset;
const refresh = refresher(["where", "targets", "moving", "ways-out", "moves"]);

live.on("job", (job) => {
  if (job.target_id === page.uuid) refresh();
});
live.on("guest", ({ row }) => {
  if (row.uuid === page.uuid) refresh();
});
live.on("ready", refresh);
live.watch("page", ["fleet", `host:${page.host}`]);

// Nobody wants to choose a host without knowing: the first check begins by itself.
const check = document.getElementById("check");
if (check && "atOnce" in check.dataset) {
  delete check.dataset.atOnce;
  fetch(check.action, { method: "POST", body: new FormData(check), redirect: "manual" }).then(refresh, refresh);
}

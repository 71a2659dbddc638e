/** The plan of a drain or return: drawn anew when the policy or something that it rests on changes. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const refresh = refresher(["plan"]);

const policy = document.getElementById("policy");
policy?.addEventListener("change", () => policy.requestSubmit());

live.on("job", (job) => {
  if (job.kind === "domain.migrate_check") refresh();
});
for (const type of ["guest", "guest_gone", "host"]) live.on(type, refresh);
live.on("ready", ({ again }) => {
  if (again) refresh();
});
live.watch("page", ["fleet", `host:${document.getElementById("drain").dataset.host}`]);

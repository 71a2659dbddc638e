/** The page of one pool, kept up to date. */
import { jobNews } from "./job-progress.js";
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const { host, uuid } = document.getElementById("pool").dataset;
const refresh = refresher(["pool", "trouble", "facts", "sharing", "volumes", "jobs"]);

live.on("storage", (message) => {
  if (message.host === Number(host) && message.pools.includes(uuid)) refresh();
});
for (const type of ["host", "guest", "guest_gone"]) live.on(type, refresh);
const isNews = jobNews();
live.on("job", (job) => {
  if (isNews(job)) refresh();
});
live.on("ready", ({ again }) => {
  if (again) refresh();
});
live.watch("page", [`host:${host}`]);

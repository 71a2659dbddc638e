/** What every page does: keyboard, help, the connection, the jobs pill and news of one's own jobs. */
import { startAges } from "./ages.js";
import { live } from "./live.js";
import { toast } from "./toast.js";
import { startTray } from "./tray.js";

const help = document.getElementById("help");
const search = document.querySelector("[data-search]") ?? document.getElementById("search");
const places = new Map([...document.querySelectorAll(".nav a[data-key]")].map((link) => [link.dataset.key, link.href]));
let goingSince = Number.NEGATIVE_INFINITY; // the time of a key counts from when the page began

function isTyping(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], [data-keys=own]");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const going = event.timeStamp - goingSince < 1500;
  goingSince = Number.NEGATIVE_INFINITY;
  if (going && places.has(event.key)) {
    location.href = places.get(event.key);
  } else if (event.key === "g") {
    goingSince = event.timeStamp;
    return;
  } else if (event.key === "/") {
    search?.focus();
    search?.select();
  } else if (event.key === "?") {
    help.showModal();
  } else return;
  event.preventDefault();
});

for (const opener of document.querySelectorAll("[data-opens]")) {
  opener.addEventListener("click", () => document.getElementById(opener.dataset.opens).showModal());
}
for (const closer of document.querySelectorAll("dialog [data-closes]")) {
  closer.addEventListener("click", () => closer.closest("dialog").close());
}

// One menu is open at a time; a click elsewhere and Escape close it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(".menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

const pill = document.getElementById("jobs-pill");
const me = document.body.dataset.person;
const ACTIVE = new Set(["queued", "running", "lost"]);
const active = new Set((pill?.dataset.jobs ?? "").split(",").filter(Boolean));

function showJobs() {
  const count = active.size;
  pill.querySelector(".text").textContent = count === 1 ? "1 job" : `${count} jobs`;
  pill.querySelector(".icon").classList.toggle("spin", count > 0);
  const inNavigation = document.getElementById("jobs-count");
  if (inNavigation) inNavigation.textContent = count || "";
}

function jobChanged(job) {
  const was = active.has(job.id);
  if (ACTIVE.has(job.state)) active.add(job.id);
  else active.delete(job.id);
  showJobs();
  if (!was || job.requested_by !== me || ACTIVE.has(job.state)) return;
  if (job.kind === "console.open") return; // the console's page says itself how it went
  const href = `/jobs/${job.id}/`;
  if (job.state === "failed") toast(job.error || `${job.label}: failed.`, { kind: "bad", href });
  else toast(`${job.label}: ${job.state_label}.`, { href });
}

if (pill) {
  live.on("job", jobChanged);
  live.on("refused", ({ why }) =>
    toast(`You are ${why === "signed out" ? "signed out" : "not permitted here any more"}.`, {
      kind: "bad",
      href: location.href,
      link: "Load again",
    }),
  );
  live.watch("frame", ["jobs"]);
  startTray(pill);
  startAges();
  live.start();
}

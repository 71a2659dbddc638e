/** The fleet, kept up to date: figures as they come, everything else anew when a state changes. */
import { showAges } from "./ages.js";
import { percent } from "./format.js";
import { jobNews, showProgress } from "./job-progress.js";
import { live } from "./live.js";
import { meter, setMeter } from "./meter.js";
import { refresher } from "./refresh.js";

const WORST = 5;
const BAD_STEAL = 5;
const losses = new Map(); // host → [uuid, name, percent] of its guests that lose the most
const samples = new Map(); // host → figures
let heardAll = false; // until then the server knows the sums better
const refresh = refresher(["totals", "tiles", "attention", "jobs", "happenings"]);
let pending = 0;

function showTile(message) {
  const tile = document.querySelector(`.tile[data-host="${message.host}"]`);
  if (!tile) return;
  const { cpu, steal, mem, mem_total } = message.sample;
  const memory = mem === null || !mem_total ? null : (100 * mem) / mem_total;
  const [cpuBar, memoryBar] = tile.querySelectorAll(".meter");
  setMeter(cpuBar, { cpu: Math.min(cpu ?? 0, 100 - (steal ?? 0)), steal });
  setMeter(memoryBar, { mem: memory });
  show(tile, "cpu", percent(cpu));
  show(tile, "mem", percent(memory));
  show(tile, "steal", percent(steal));
  const mark = tile.querySelector(".steal");
  mark?.classList.toggle("bad", steal >= BAD_STEAL);
  mark?.classList.toggle("muted", !(steal >= BAD_STEAL));
  const time = tile.querySelector("time[data-interval]");
  if (!time) return refresh(); // its first figures, or it is back
  time.dataset.at = message.at;
  time.dataset.interval = message.interval_ms;
  showAges(tile);
}

function show(tile, name, text) {
  const place = tile.querySelector(`[data-show="${name}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

/** What is drawn from all hosts together, once for all messages of a moment. */
function showSums() {
  pending = 0;
  heardAll = true;
  let weight = 0;
  let lost = 0;
  for (const { steal, running, vcpus = running } of samples.values()) {
    if (steal === null) continue;
    weight += vcpus;
    lost += steal * vcpus;
  }
  if (weight) document.getElementById("steal").textContent = percent(lost / weight);
  const worst = [...losses.values()]
    .flat()
    .sort((a, b) => b[2] - a[2])
    .slice(0, WORST);
  document.getElementById("worst-lines").replaceChildren(...worst.map(line));
  document.getElementById("no-steal").hidden = worst.length > 0;
}

function line([uuid, name, share]) {
  const row = document.createElement("tr");
  const [who, bar, figure] = [0, 1, 2].map(() => row.insertCell());
  const link = document.createElement("a");
  link.href = `/domains/${uuid}/`;
  link.textContent = name;
  who.className = "cut";
  who.append(link);
  const svg = meter(["steal"]);
  setMeter(svg, { steal: share });
  bar.append(svg);
  figure.className = "n";
  figure.textContent = percent(share);
  return row;
}

live.on("pulse", (message) => {
  samples.set(message.host, message.sample);
  losses.set(message.host, message.worst);
  showTile(message);
  if (!pending) pending = setTimeout(showSums, heardAll ? 500 : 2 * message.interval_ms);
});
live.on("guest", ({ row }) => {
  const square = document.querySelector(`.sq[data-uuid="${row.uuid}"]`);
  if (square) square.className = `sq ${row.state}`;
  refresh();
});
live.on("host", (message) => {
  if (message.state !== "up") {
    samples.delete(message.host);
    losses.delete(message.host);
  }
  refresh();
});
for (const type of ["guest_gone", "host_gone"]) live.on(type, refresh);
const isNews = jobNews();
live.on("job", (job) => {
  showProgress(job);
  if (isNews(job)) refresh();
});
live.on("ready", refresh);
live.watch("page", ["fleet", "pulses"]);

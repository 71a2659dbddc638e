/** The page of a guest, kept up to date, and its actions without leaving it. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";
import { toast } from "./toast.js";

/** Of the head as it is now: it is replaced when something changed. */
const head = () => document.getElementById("guest-head").dataset;
const FRESH_INTERVALS = 3;
const MUCH_STEAL = 10; // percent; from here the page says that the guest is slow
const refresh = refresher([
  "guest-head",
  "on-its-way",
  "troubles",
  "facts",
  "cpu",
  "disks",
  "hardware",
  "xml",
  "history",
  "moves",
  "snapshots",
]);
const FIGURES_MS = 30_000;
const refreshTroubles = refresher(["troubles"]);
const refreshFigures = refresher(["troubles", "cpu"]); // what slows it, who takes its time, where it would lose less
const dialog = document.getElementById("confirm");
const field = document.getElementById("confirm-text");
const yes = document.getElementById("confirm-yes");

/** The guest's name, typed; null when the person thinks better of it. */
function confirmed(label, loses) {
  document.getElementById("confirm-title").textContent = `${label}: ${head().name}`;
  document.getElementById("confirm-loses").textContent = loses;
  yes.textContent = label;
  yes.disabled = true;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? field.value : null);
  });
}

field.addEventListener("input", () => {
  yes.disabled = field.value !== head().name;
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (!yes.disabled) dialog.close("yes");
});

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (form.id !== "actions" || !submitter) return;
  event.preventDefault();
  const label = submitter.textContent.trim().replace("…", "");
  const fields = new FormData(form, submitter);
  submitter.closest(".menu")?.removeAttribute("open");
  if (submitter.dataset.loses) {
    const name = await confirmed(label, submitter.dataset.loses);
    if (name === null) return;
    fields.set("confirm", name);
  }
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body: fields,
      headers: { Accept: "application/json" },
    });
    const body = await answer.json();
    if (!answer.ok) toast(`${body.error} ${body.hint}`.trim(), { kind: "bad" });
  } catch {
    toast(`${label}: the server did not answer. Look at the jobs before you try again.`, {
      kind: "bad",
      href: "/jobs/",
      link: "Jobs",
    });
  }
  refresh();
});

live.on("guest", ({ row }) => {
  if (row.uuid !== head().uuid) return;
  if (String(row.host) !== head().host) {
    head().host = row.host; // it moved
    follow();
  }
  refresh();
});
let last = null; // tick
let figuresAt = null; // of the tick that they were read with
let ran = null; // in the last tick
live.on("tick", (tick) => {
  const sample = tick.guests[head().uuid];
  last = tick;
  if ("stale" in head()) refresh();
  const begins = ran === false && sample;
  ran = Boolean(sample);
  figuresAt ??= tick.at;
  if ((begins || tick.at - figuresAt >= FIGURES_MS) && !document.hidden) {
    figuresAt = tick.at;
    if (sample) refreshFigures();
    else refreshTroubles(); // alerts begin and end, too, while it is off
  }
  const steal = sample?.steal ?? 0;
  const told = Number(document.getElementById("troubles").dataset.steal);
  if (steal >= MUCH_STEAL === told >= MUCH_STEAL && Math.abs(steal - told) < MUCH_STEAL) return;
  document.getElementById("troubles").dataset.steal = steal;
  refresh();
});
live.on("guest_gone", (message) => {
  if (message.uuid === head().uuid)
    toast("This guest is not defined on any host any more.", { kind: "bad", href: "/domains/", link: "All guests" });
});
live.on("host", (message) => {
  if (String(message.host) === head().host) refresh();
});
live.on("job", (job) => {
  if (job.target_id === head().uuid) refresh();
});
live.on("ready", refresh);

setInterval(() => {
  if (!last || live.now() - last.at <= FRESH_INTERVALS * last.interval_ms) return;
  last = null;
  refresh(); // the page then says how old all of this is
}, 1000);

function follow() {
  live.watch("page", ["fleet", `host:${head().host}`]);
}

follow();

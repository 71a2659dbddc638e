/** Follows the test of a host, and shows what came of it. */
import { live } from "./live.js";

const ENDED = ["succeeded", "failed", "cancelled", "reconciled"];
const CHECK_MS = 3000; // should a message be missed

const box = document.getElementById("test");
const phase = box.querySelector("[data-phase]");

live.on("job", (job) => {
  if (job.id !== box.dataset.job) return;
  if (ENDED.includes(job.state)) location.reload();
  else phase.textContent = job.phase || job.state_label;
});
setInterval(() => location.reload(), CHECK_MS);

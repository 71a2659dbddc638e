/**
 * How far a job is, written into the page as its messages come: within each `[data-progress="ID"]` the parts
 * `[data-show]` of templates/jobs/progress.html, and `happens`.
 *
 *   showProgress(job);             // a `job` message
 *   const isNews = jobNews();
 *   if (isNews(job)) refresh();    // its state changed since the last message, and not only how far it is
 */
import { bytes, duration, percent, perSecond } from "./format.js";
import { setMeter } from "./meter.js";

const ACTIVE = new Set(["queued", "running", "lost"]);

export function isActive(job) {
  return ACTIVE.has(job.state);
}

export function jobNews() {
  const states = new Map();
  return (job) => {
    const state = `${job.state} ${job.cancelling}`;
    if (states.get(job.id) === state) return false;
    states.set(job.id, state);
    return true;
  };
}

function moved(job) {
  const parts = [];
  if (job.total_bytes !== null) parts.push(`${bytes(job.done_bytes)} of ${bytes(job.total_bytes)}`);
  if (job.rate_bytes_per_s !== null) parts.push(perSecond(job.rate_bytes_per_s));
  if (job.seconds_left !== null) parts.push(`${duration(1000 * job.seconds_left)} left`);
  return parts.join(" · ");
}

export function showProgress(job) {
  if (!isActive(job)) return;
  for (const place of document.querySelectorAll(`[data-progress="${job.id}"]`)) {
    const own = (name) => place.querySelector(`[data-show="${name}"]`);
    write(own("happens"), job.phase);
    write(own("moved"), moved(job));
    write(own("percent"), percent(job.percent));
    const bar = own("bar");
    if (!bar) continue;
    bar.hidden = job.percent === null;
    setMeter(bar.querySelector(".meter"), { busy: job.percent });
  }
}

function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

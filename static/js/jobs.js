/**
 * The list of jobs and the page of one come alive: bars move and lines of the log arrive as they are told; when a state
 * changes, what the server draws is fetched anew, at most once a second.
 */
import { showAges } from "./ages.js";
import { jobNews, showProgress } from "./job-progress.js";
import { live } from "./live.js";
import { essence, open, openedIn } from "./refresh.js";

const REST_MS = 1000;

const root = document.getElementById("live");
const mine = root.dataset.job;
const isNews = jobNews();
const lines = new Map(); // of the log of this job, by number: those that came while the page was open
let fetching = false;
let wanted = false;

async function refresh() {
  wanted = true;
  if (fetching) return;
  fetching = true;
  while (wanted) {
    wanted = false;
    await load().catch((error) => console.warn("The jobs could not be loaded anew:", error));
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  }
  fetching = false;
}

async function load() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  replace(page.getElementById("live"));
}

/** Puts the new content in place of the old; what was opened stays open, and the focus where it was. */
function replace(fresh) {
  if (!fresh || essence(fresh) === essence(root)) return;
  const opened = openedIn(root);
  const focused = root.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const [here, there] = [[...root.children], [...fresh.children]];
  if (here.length !== there.length) root.replaceChildren(...fresh.childNodes);
  else
    for (const [index, part] of here.entries())
      if (essence(part) !== essence(there[index])) part.replaceWith(there[index]);
  open(root, opened);
  if (focused) root.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  for (const line of lines.values()) showLine(line);
  showAges(root);
}

function showLine({ line, at, text }) {
  const log = document.getElementById("log");
  if (log.querySelector(`[data-line="${line}"]`)) return;
  const item = document.createElement("li");
  const time = document.createElement("time");
  const when = new Date(at);
  item.dataset.line = line;
  time.className = "mono faint";
  time.dateTime = when.toISOString();
  time.textContent = when.toLocaleTimeString("en", { hourCycle: "h23" });
  item.append(time, ` ${text}`);
  log.querySelector("ol").append(item);
  log.hidden = false;
}

live.on("job", (job) => {
  if (mine && job.id !== mine && job.parent !== mine) return;
  showProgress(job);
  if (isNews(job) || Object.keys(job.figures).length > 0) refresh(); // figures are drawn by the server
});
live.on("job_line", (line) => {
  if (line.job !== mine) return;
  lines.set(line.line, line);
  showLine(line);
});
live.on("ready", ({ again }) => {
  if (again || mine) refresh(); // what happened since the page was made
});

/**
 * The panel below the jobs pill: one's own jobs that last or have just ended, on every page. Without JavaScript the pill
 * is a link to the list of jobs.
 */
import { showAges } from "./ages.js";
import { jobNews, showProgress } from "./job-progress.js";
import { live } from "./live.js";
import { toast } from "./toast.js";

const REST_MS = 500;

export function startTray(pill) {
  const panel = document.getElementById("tray");
  const isNews = jobNews();
  let loading = false;
  let again = false;

  async function load() {
    again = true;
    if (loading) return;
    loading = true;
    while (again && !panel.hidden) {
      again = false;
      await fill().catch(() => fail("The jobs could not be loaded."));
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
    loading = false;
  }

  async function fill() {
    const answer = await fetch(pill.dataset.tray, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
    const hadFocus = panel.contains(document.activeElement);
    const href = hadFocus && document.activeElement.getAttribute("href");
    panel.replaceChildren(...fresh.childNodes);
    if (hadFocus) ((href && panel.querySelector(`[href="${CSS.escape(href)}"]`)) || panel).focus();
    showAges(panel);
  }

  function fail(text) {
    const words = document.createElement("p");
    words.textContent = text;
    panel.replaceChildren(words);
  }

  function show(open) {
    panel.hidden = !open;
    pill.setAttribute("aria-expanded", String(open));
    if (!open) return;
    load();
    panel.focus();
  }

  async function cancel(form) {
    const headers = { Accept: "application/json" };
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers }).catch(() => null);
    if (!answer?.ok) {
      const why = await answer?.json().catch(() => null);
      toast(why?.error ?? "The server did not answer. Look at the jobs before you try again.", { kind: "bad" });
    }
    load();
  }

  pill.setAttribute("role", "button");
  pill.setAttribute("aria-controls", panel.id);
  pill.setAttribute("aria-expanded", "false");
  pill.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(panel.hidden);
  });
  pill.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    show(panel.hidden);
  });
  panel.addEventListener("submit", (event) => {
    if (!event.target.action.endsWith("/cancel/")) return;
    event.preventDefault();
    cancel(event.target);
  });
  document.addEventListener("click", (event) => {
    // What was clicked may be gone already: the panel is drawn anew.
    if (!panel.hidden && !event.composedPath().includes(panel.parentElement)) show(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden || document.querySelector("dialog[open]")) return;
    show(false);
    pill.focus();
  });

  live.on("job", (job) => {
    if (panel.hidden) return;
    showProgress(job);
    if (isNews(job)) load();
  });
  live.on("ready", ({ again: missed }) => {
    if (missed) load();
  });
}

/** Loads parts of this page anew, for what changes seldom and in many places at once. */
import { showAges } from "./ages.js";

const LOST = new Set([403, 404]); // the reader's right, or the thing itself
const REST_MS = 800; // between two loads, since many things may change together

let loads = 0;
const shownBy = new Map(); // id → the load that its element is of

/** What an element says, without what changes all the time anyway: ages, live figures, form tokens. */
export function essence(element) {
  const copy = element.cloneNode(true);
  for (const part of copy.querySelectorAll("time, [data-show], svg.meter, [name=csrfmiddlewaretoken]")) part.remove();
  for (const details of copy.querySelectorAll("details[open]")) details.open = false; // that the reader opened it
  return copy.innerHTML;
}

/** Of an element that says the same as before: since when, or when it was found so again. */
function takeTimes(here, fresh) {
  const times = fresh.querySelectorAll("time");
  for (const [n, old] of here.querySelectorAll("time").entries()) if (times[n]) old.replaceWith(times[n]);
}

/** The ids of what the reader has opened in an element; `open` opens it in what takes its place. */
export function openedIn(element) {
  return [...element.querySelectorAll("details[open][id]")].map((details) => details.id);
}

export function open(element, ids) {
  for (const id of ids) element.querySelector(`#${id}`)?.setAttribute("open", "");
}

/**
 * A function to call whenever something may have changed: it takes over the elements with these ids from the page as
 * the server shows it now; at once, or a little later if it just has.
 * @param {string[]} ids
 */
export function refresher(ids) {
  let resting = false;
  let again = false;

  async function load() {
    loads += 1;
    const mine = loads;
    const answer = await fetch(location.href);
    if (LOST.has(answer.status) || new URL(answer.url).pathname !== location.pathname) return location.reload();
    if (!answer.ok) return; // a proxy whose server is away: the next message, or the next connection, tries again
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const here = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (!here !== !fresh) return location.reload();
      if (!here || shownBy.get(id) > mine) continue; // a newer one is shown already
      shownBy.set(id, mine);
      if (essence(here) === essence(fresh)) {
        takeTimes(here, fresh);
        continue;
      }
      const opened = openedIn(here);
      here.replaceWith(fresh);
      open(fresh, opened);
    }
    showAges();
  }

  return function refresh() {
    again = true;
    if (resting) return;
    again = false;
    resting = true;
    load().catch(() => {}); // the next message, or the next connection, tries again
    setTimeout(() => {
      resting = false;
      if (again) refresh();
    }, REST_MS);
  };
}

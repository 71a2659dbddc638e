/** What happened in the time that the charts show, as a list below them. */
import { age, exact } from "./format.js";
import { live } from "./live.js";

const MOST = 40;

/** @param {{events: {at: number, text: string, tone: string, url: string}[]}} body */
export function showEvents(place, { events }) {
  place.hidden = !events.length;
  const newest = events.slice(-MOST).reverse();
  place.querySelector("ol").replaceChildren(...newest.map(line));
  const more = events.length - newest.length;
  place.querySelector("[data-more]").textContent = more > 0 ? `and ${more} before` : "";
}

function line(event) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.className = "faint";
  time.dateTime = new Date(event.at * 1000).toISOString();
  time.title = exact(event.at * 1000);
  time.textContent = age(live.now() - event.at * 1000);
  const words = document.createElement(event.url ? "a" : "span");
  if (event.url) words.href = event.url;
  else if (event.tone) words.className = event.tone;
  words.textContent = event.text;
  item.append(time, words);
  return item;
}

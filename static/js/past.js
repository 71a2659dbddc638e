/**
 * The slider over time (templates/main/when.html). On the page of now it leads to the past; there it shows each moment
 * without loading the page anew.
 */
import { showAges } from "./ages.js";

const REST_MS = 180; // a slider passes many moments: only where it rests is asked for
const PARTS = ["past", "past-title", "totals"];

const place = document.getElementById("when");
const slide = place.querySelector(".slide");
const slider = slide.querySelector("input");
const field = document.getElementById("when-at");
const isPast = () => Boolean(document.getElementById("past"));
let timer = 0;
let running = null; // the request under way

slide.hidden = false;

function address() {
  const isLast = slider.max - slider.value < Number(slider.step); // steps need not end at now exactly
  const isNow = isLast && slide.lastElementChild.textContent === "now";
  return isNow ? `/${place.dataset.now}` : `/?${place.dataset.kept}at=${slider.value}`;
}

async function show(to, isNews = true) {
  if (!isPast() || !to.includes("at=")) return location.assign(to);
  running?.abort();
  running = new AbortController();
  const here = document.getElementById("past");
  here.ariaBusy = "true";
  let answer;
  let text;
  try {
    answer = await fetch(to, { signal: running.signal });
    text = await answer.text();
  } catch (error) {
    if (error.name !== "AbortError") location.assign(to);
    return;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  if (!answer.ok || !page.getElementById("past")) return location.assign(to);
  if (isNews) history.pushState(null, "", to);
  for (const id of PARTS) document.getElementById(id).replaceWith(page.getElementById(id));
  document.title = page.title;
  sayMoment();
  takeOver(page);
  showAges();
}

/** Links and fields around the slider; itself only where it does not stand right, since a hand may be on it. */
function takeOver(page) {
  const fresh = page.getElementById("when");
  const focused = place.contains(document.activeElement) ? document.activeElement.textContent : "";
  const next = [...fresh.querySelectorAll("nav")];
  for (const nav of place.querySelectorAll("nav")) nav.replaceWith(next.shift());
  field.value = fresh.querySelector("#when-at").getAttribute("value");
  place.dataset.kept = fresh.dataset.kept;
  const other = fresh.querySelector(".slide");
  const rule = other.querySelector("input");
  if (document.activeElement !== slider || slider.step !== rule.step) {
    for (const name of ["min", "max", "step"]) slider[name] = rule.getAttribute(name);
    slider.value = rule.getAttribute("value");
    slide.firstElementChild.replaceWith(other.firstElementChild);
    slide.lastElementChild.replaceWith(other.lastElementChild);
  }
  if (focused) [...place.querySelectorAll("a")].find((link) => link.textContent === focused)?.focus();
}

function sayMoment() {
  const words = document.getElementById("past-title")?.textContent;
  if (words) slider.setAttribute("aria-valuetext", words);
}

slider.addEventListener("input", () => {
  if (!isPast()) return; // the page of now stays until the slider rests
  clearTimeout(timer);
  timer = setTimeout(() => show(address()), REST_MS);
});
slider.addEventListener("change", () => {
  if (isPast()) return;
  clearTimeout(timer);
  timer = setTimeout(() => location.assign(address()), 2 * REST_MS);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#when a, #past .log a.faint, #past .empty a");
  if (!link || !isPast() || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  slider.blur();
  show(link.getAttribute("href").replace(/^\?/, "/?"));
});
addEventListener("popstate", () => {
  if (!isPast()) return;
  slider.blur();
  if (location.search.includes("at=")) show(location.pathname + location.search, false);
  else location.reload();
});
sayMoment();
if (isPast() && !location.hash) slider.focus({ preventScroll: true });

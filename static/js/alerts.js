/** The page of alerts: loaded anew now and then, but not while somebody writes into it. */
import { refresher } from "./refresh.js";

const EVERY_MS = 10_000;
const refresh = refresher(["alerts"]);

setInterval(() => {
  const page = document.getElementById("alerts");
  const busy = page.contains(document.activeElement) || page.querySelector("details[open]");
  const written = [...page.querySelectorAll("input:not([type=hidden])")].some((input) => input.value);
  if (!busy && !written && document.visibilityState === "visible") refresh();
}, EVERY_MS);

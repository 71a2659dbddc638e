/** A webhook's page, looked at again all the time: what workers tell others is no live message. */
import { refresher } from "./refresh.js";

const AGAIN_MS = 3000;

// What answers a form at another address, such as the one page that shows a new secret, must stay as it is.
if (location.pathname === document.getElementById("webhook").dataset.url) {
  const refresh = refresher(["webhook-facts", "deliveries"]);
  setInterval(() => document.hidden || refresh(), AGAIN_MS);
}

/** The CPU part of a guest's page: read anew while it is open, since what it says changes by the minute. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

const EVERY_MS = 10_000;
const refresh = refresher(["cpu"]);
let last = 0;

live.on("tick", () => {
  if (Date.now() - last < EVERY_MS) return;
  last = Date.now();
  refresh();
});

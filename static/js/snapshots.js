/** The snapshots of a guest: the bars of their jobs move. static/js/guest.js loads the rest anew. */
import { showProgress } from "./job-progress.js";
import { live } from "./live.js";

live.on("job", showProgress);

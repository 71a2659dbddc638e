/**
 * One console of a guest: asks for a ticket, connects, says in words what is going on, and comes back by itself.
 *
 *   const session = new ConsoleSession(document.getElementById("console"), ({ socket, password }) => { … });
 *   session.open();            // again at any time: "Reconnect"
 *   session.isOpen();          // call when the console is usable
 *   session.fail(text);        // call when it turned out not to be
 *
 * The element carries `data-url` (where to ask), `data-uuid`, `data-name`, `data-host` and `data-guest` (the guest's
 * state, kept up to date); the console's state is written to `data-state`: asking, connecting, open, retrying, off,
 * in-use or closed.
 */
import { live } from "./live.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** How often to try by itself: when something between here and the guest is away, and when opening it failed. */
const PATIENT = 20;
const BRIEF = 4;
const POLL_MS = 150;
const MOST_POLLS = 200;
const IN_USE = 4409;
/** Close codes after which trying again is of no use (domains/consoles/gateway/endings.py). */
const FINAL = new Set([4401, 4403, 4404]);
const ACTIVE = new Set(["running", "idle", "paused", "in_shutdown", "pmsuspended", "dying"]);

const SHORT = {
  asking: "Connecting…",
  connecting: "Connecting…",
  open: "Connected",
  retrying: "Trying again…",
  off: "Guest is off",
  "in-use": "In use",
  closed: "Not connected",
};

class Problem extends Error {
  /** `tries`: after so many, trying again is of no use. */
  constructor(text, { tries = PATIENT, detail = "" } = {}) {
    super(text);
    this.tries = tries;
    this.detail = detail;
  }
}

async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { redirect: "manual", headers: { Accept: "application/json" }, ...options });
  } catch {
    throw new Problem("vmdash cannot be reached.");
  }
  if (response.type === "opaqueredirect") {
    throw new Problem("You are signed out. Load the page again.", { tries: 0 });
  }
  if (response.status === 403) throw new Problem("You may not open this console.", { tries: 0 });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return { waiting: response.status === 202, ...answer };
  const { error = `vmdash answered with an error (${response.status}).`, detail, retry } = answer;
  throw new Problem(error, { detail, tries: response.status >= 500 ? PATIENT : retry ? BRIEF : 0 });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class ConsoleSession {
  #attempts = 0;
  #retry = 0;
  #run = 0;
  #socket = null;

  constructor(element, connected) {
    this.element = element;
    this.connected = connected;
    this.name = element.dataset.name;
    this.host = Number(element.dataset.host);
    element.querySelector("[data-reconnect]").addEventListener("click", () => this.reopen());
    element.querySelector("[data-take-over]")?.addEventListener("click", () => this.reopen({ take_over: "yes" }));
    live.watch("console", ["fleet"]);
    live.on("guest", ({ row }) => row.uuid === element.dataset.uuid && this.#guestChanged(row));
    live.on("host", ({ host, state }) => {
      if (host === this.host && state === "up" && element.dataset.state === "closed") this.reopen();
    });
    // News was missed: ask anew what is not open, and learn how the guest is.
    live.on("ready", ({ again }) => {
      if (again && ["off", "closed", "retrying"].includes(element.dataset.state)) this.reopen();
    });
    live.on("guest_gone", ({ uuid }) => uuid === element.dataset.uuid && this.#end("closed", `${this.name} is gone.`));
    addEventListener("pagehide", () => this.#hangUp());
  }

  get active() {
    return ACTIVE.has(this.element.dataset.guest);
  }

  /** Asked for by a person, or there is good reason to hope: forget earlier failures. */
  reopen(fields = {}) {
    this.#attempts = 0;
    this.open(fields);
  }

  async open(fields = {}) {
    this.#hangUp();
    const run = this.#run;
    this.#say("asking", "Asking for the console…");
    try {
      const body = new FormData(this.element.querySelector("form[data-token]"));
      for (const [name, value] of Object.entries(fields)) body.set(name, value);
      let answer = await ask(this.element.dataset.url, { method: "POST", body });
      const { ticket } = answer;
      for (let left = MOST_POLLS; answer.waiting && run === this.#run; left -= 1) {
        if (!left) throw new Problem("The workers of vmdash are busy, or none is running.", { tries: BRIEF });
        await pause(POLL_MS);
        answer = await ask(ticket);
      }
      if (run === this.#run) this.#connect(answer);
    } catch (problem) {
      if (run === this.#run) this.#failed(problem);
    }
  }

  isOpen() {
    this.#attempts = 0;
    if (!this.active) this.element.dataset.guest = "running";
    this.#say("open", "");
  }

  fail(text) {
    this.#hangUp();
    this.#failed(new Problem(text, { tries: BRIEF }));
  }

  #connect({ url, protocols, password }) {
    this.#say("connecting", "Connecting…");
    const run = this.#run;
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", ({ code, reason }) => {
      if (run !== this.#run) return;
      this.#hangUp();
      if (code === IN_USE) this.#end("in-use", reason);
      else
        this.#failed(
          new Problem(reason || "The connection to the console was lost.", { tries: FINAL.has(code) ? 0 : PATIENT }),
        );
    });
    this.#socket = socket;
    this.connected({ socket, password });
  }

  /** Ends what is under way; what still arrives of it is ignored. */
  #hangUp() {
    this.#run += 1;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = null;
  }

  #failed(problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!this.active) this.#end("off", `${this.name} is off.`);
    else if (this.#attempts < problem.tries) {
      const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts);
      this.#attempts += 1;
      this.#say("retrying", problem.message, problem.detail);
      this.#retry = setTimeout(() => this.open(), delay);
    } else this.#end("closed", problem.message, problem.detail);
  }

  #end(state, text, detail = "") {
    this.#hangUp();
    this.#say(state, text, detail);
  }

  #guestChanged(row) {
    const hopeful = ACTIVE.has(row.state) && (!this.active || row.host !== this.host);
    this.element.dataset.guest = row.state;
    this.host = row.host;
    if (this.element.dataset.state === "open") return; // its socket tells when it ends
    if (!this.active) this.#end("off", `${this.name} is ${row.state_label}.`);
    else if (hopeful) this.reopen();
  }

  #say(state, text, detail = "") {
    this.element.dataset.state = state;
    this.element.querySelector("[data-text]").textContent = SHORT[state];
    const words = this.element.querySelector("[data-why]");
    words.textContent = text;
    words.title = detail;
  }
}

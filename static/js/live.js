/**
 * The page's one WebSocket, `/ws/live/`: the export `live`.
 *
 *   live.watch("page", ["fleet", "host:3"]);   // replaces what the part "page" follows; the parts of a page add up
 *   live.on("tick", (message) => { … });       // any `type` of vmdash/live/messages.py
 *   live.on("ready", ({ again }) => { … });    // following; `again`: messages may be missing, so load anew what you show
 *   live.on("lost", () => { … });              // not connected; it comes back by itself
 *   live.now()                                 // the server's clock, in Unix milliseconds
 *
 * `ready` comes after each connection (the first with `again: false`), and with `again: true` when the
 * server says that this browser was too slow and messages were dropped.
 */

const PATIENCE_MS = 40_000; // the server says hello every 15 s
const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 15_000;
const SIGNED_OUT = 4401;
const NOT_PERMITTED = 4403;

const handlers = new Map();
const topicsOf = new Map();
let socket = null;
let attempts = 0;
let connections = 0;
let clockOffset = 0;
let silence = 0;
let retry = 0;
let sent = "";
let greeted = false;

function on(type, handler) {
  if (!handlers.has(type)) handlers.set(type, []);
  handlers.get(type).push(handler);
}

function emit(type, message) {
  for (const handler of handlers.get(type) ?? []) handler(message);
}

function now() {
  return Date.now() + clockOffset;
}

/** @param {string} part  @param {Iterable<string>} topics */
function watch(part, topics) {
  topicsOf.set(part, [...topics]);
  sendTopics();
}

function sendTopics() {
  const topics = [...new Set([...topicsOf.values()].flat())].sort();
  const text = JSON.stringify({ type: "watch", topics });
  if (socket?.readyState !== WebSocket.OPEN || text === sent) return;
  sent = text;
  socket.send(text);
}

function setPill(state, text, title) {
  const pill = document.getElementById("connection");
  if (!pill) return;
  pill.dataset.state = state;
  pill.title = title;
  pill.querySelector(".text").textContent = text;
}

function expectMore() {
  clearTimeout(silence);
  silence = setTimeout(() => socket?.close(), PATIENCE_MS);
}

function connect() {
  clearTimeout(retry);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/live/`);
  sent = "";
  greeted = false;
  expectMore();
  socket.addEventListener("open", sendTopics);
  socket.addEventListener("message", (event) => {
    expectMore();
    for (const message of JSON.parse(event.data)) receive(message);
  });
  socket.addEventListener("close", (event) => lose(event.code));
}

function receive(message) {
  if (message.type === "hello") {
    clockOffset = message.at - Date.now();
    if (!greeted) {
      greeted = true;
      attempts = 0;
      connections += 1;
      setPill("live", "live", "What you see changes by itself");
      emit("ready", { again: connections > 1 });
    }
  } else if (message.type === "reload") {
    emit("ready", { again: true });
  } else if (message.type === "error") {
    console.error("The server refused a live message:", message.message);
  }
  emit(message.type, message);
}

function lose(code) {
  clearTimeout(silence);
  socket = null;
  if (code === SIGNED_OUT || code === NOT_PERMITTED) {
    const why = code === SIGNED_OUT ? "signed out" : "no access";
    setPill("lost", why, "Load the page again to go on");
    emit("refused", { why });
    return;
  }
  setPill("lost", "connection lost", "What you see is getting old; trying to reach the server again");
  if (greeted) emit("lost");
  const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempts) * (0.6 + 0.8 * Math.random());
  attempts += 1;
  retry = setTimeout(connect, delay);
}

function tryNow() {
  if (socket === null && retry && document.visibilityState === "visible") {
    attempts = 0;
    connect();
  }
}

/** Connects once; called by the page frame. */
function start() {
  if (socket || retry) return;
  connect();
  addEventListener("online", tryNow);
  document.addEventListener("visibilitychange", tryNow);
}

export const live = { on, watch, now, start };

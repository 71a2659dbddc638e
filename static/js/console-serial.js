/** The serial console of a guest: xterm.js and the buttons around it. */
import { FitAddon } from "../xterm/fit/addon-fit.mjs";
import { Terminal } from "../xterm/lib/xterm.mjs";
import { watchGuest } from "./console-guest.js";
import { ConsoleSession } from "./console-session.js";
import { toast } from "./toast.js";

const SCROLLBACK_LINES = 10_000;
const NO_CLIPBOARD =
  "Your browser lets pages use the clipboard over https only. Use its own keys: Ctrl Shift C and Ctrl Shift V.";

const element = document.getElementById("console");
const size = document.getElementById("size");
const terminal = new Terminal({
  cursorBlink: true,
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
  fontSize: 14,
  scrollback: SCROLLBACK_LINES,
  screenReaderMode: true,
  theme: { background: "#101216" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(document.getElementById("terminal"));
new ResizeObserver(resize).observe(terminal.element.parentElement);

const encoder = new TextEncoder();
let line = null;

const session = new ConsoleSession(element, ({ socket }) => {
  line = socket;
  socket.addEventListener("open", () => {
    session.isOpen();
    terminal.focus();
  });
  socket.addEventListener("message", ({ data }) => terminal.write(new Uint8Array(data)));
});

function send(bytes) {
  if (line?.readyState === WebSocket.OPEN) line.send(bytes);
}

terminal.onData((text) => send(encoder.encode(text)));
terminal.onBinary((text) => send(Uint8Array.from(text, (character) => character.charCodeAt(0))));
terminal.attachCustomKeyEventHandler((event) => {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey || event.code !== "KeyC") return true;
  copy();
  event.preventDefault();
  return false;
});

function resize() {
  fit.fit();
  size.textContent = `${terminal.cols} × ${terminal.rows}`;
}

async function copy() {
  const selected = terminal.getSelection();
  if (!selected) return;
  try {
    await navigator.clipboard.writeText(selected);
  } catch {
    toast(NO_CLIPBOARD, { kind: "bad" });
  }
}

document.getElementById("copy").addEventListener("click", async () => {
  await copy();
  terminal.focus();
});

document.getElementById("paste").addEventListener("click", async () => {
  try {
    terminal.paste(await navigator.clipboard.readText());
  } catch {
    toast(NO_CLIPBOARD, { kind: "bad" });
  }
  terminal.focus();
});

document.getElementById("tell-size").addEventListener("click", () => {
  terminal.input(`stty rows ${terminal.rows} cols ${terminal.cols}\r`);
  terminal.focus();
});

document.getElementById("full-screen").addEventListener("click", async () => {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await element.requestFullscreen();
  terminal.focus();
});

document.getElementById("save").addEventListener("click", () => {
  const { active } = terminal.buffer;
  let text = "";
  for (let row = 0; row < active.length; row += 1) {
    const line = active.getLine(row);
    const goesOn = active.getLine(row + 1)?.isWrapped;
    text += (row && !line.isWrapped ? "\n" : "") + line.translateToString(!goesOn);
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${text.trimEnd()}\n`], { type: "text/plain" }));
  link.download = `${element.dataset.name}-serial.txt`;
  link.click();
  URL.revokeObjectURL(link.href);
});

watchGuest(element);
if (session.active) session.open();

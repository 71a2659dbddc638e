/** The screen of a guest: noVNC and the buttons around it. */
import RFB from "../novnc/core/rfb.js";
import { watchGuest } from "./console-guest.js";
import { press, type } from "./console-keys.js";
import { ConsoleSession } from "./console-session.js";
import { toast } from "./toast.js";

const element = document.getElementById("console");
const screen = document.getElementById("screen");
const fit = document.getElementById("fit");
const viewOnly = document.getElementById("view-only");
const paste = document.getElementById("paste");
const text = document.getElementById("paste-text");
const pace = document.getElementById("paste-pace");
const progress = document.getElementById("paste-progress");
let rfb = null;

const session = new ConsoleSession(element, ({ socket, password }) => {
  screen.replaceChildren();
  const mine = new RFB(screen, socket, { credentials: { password }, shared: true });
  rfb = mine;
  mine.background = "transparent";
  mine.addEventListener("connect", () => {
    session.isOpen();
    mine.focus();
  });
  mine.addEventListener("disconnect", () => {
    if (rfb === mine) rfb = null;
  });
  mine.addEventListener("securityfailure", () => {
    session.fail("The screen refused the password. Did somebody else open it at the same moment?");
  });
  mine.addEventListener("credentialsrequired", () => {
    session.fail("The screen wants a password that vmdash cannot set. It has been set outside of vmdash.");
  });
  mine.addEventListener("clipboard", ({ detail }) => takeClipboard(detail.text));
  applySettings();
});

function applySettings() {
  if (!rfb) return;
  rfb.scaleViewport = isOn(fit);
  rfb.viewOnly = isOn(viewOnly);
}

function isOn(button) {
  return button.getAttribute("aria-pressed") === "true";
}

for (const button of [fit, viewOnly]) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!isOn(button)));
    applySettings();
    rfb?.focus();
  });
}

for (const button of element.querySelectorAll("[data-press]")) {
  button.addEventListener("click", () => {
    if (rfb && !isOn(viewOnly)) press(rfb, button.dataset.press);
    const menu = button.closest(".menu");
    if (menu) menu.open = false;
    rfb?.focus();
  });
}

document.getElementById("full-screen").addEventListener("click", async () => {
  if (document.fullscreenElement) {
    await document.exitFullscreen();
    return;
  }
  await element.requestFullscreen();
  await navigator.keyboard?.lock?.(); // Alt-Tab and the like then reach the guest, in browsers that know how
  rfb?.focus();
});

document.getElementById("screenshot").addEventListener("click", () => {
  rfb?.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${element.dataset.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  }, "image/png");
});

document.getElementById("paste-type").addEventListener("click", async () => {
  if (!rfb || isOn(viewOnly)) {
    progress.textContent = "Nothing can be typed: the screen is not connected, or set to view only.";
    return;
  }
  const into = rfb;
  const total = text.value.length;
  const left = await type(into, text.value, Number(pace.value), (done) => {
    progress.textContent = `Typed ${done} of ${total}`;
    return paste.open && rfb === into;
  });
  if (!paste.open) return;
  if (left === 1) progress.textContent = "Typed but for one character, which a US keyboard does not have.";
  else if (left) progress.textContent = `Typed but for ${left} characters, which a US keyboard does not have.`;
  else paste.close();
});

document.getElementById("paste-clipboard").addEventListener("click", () => {
  rfb?.clipboardPasteFrom(text.value);
  paste.close();
});

paste.addEventListener("close", () => {
  progress.textContent = "";
  text.value = "";
  rfb?.focus();
});

async function takeClipboard(copied) {
  try {
    await navigator.clipboard.writeText(copied);
  } catch {
    toast("The guest copied text. Your browser lets pages use the clipboard over https only.");
  }
}

watchGuest(element);
if (session.active) session.open();

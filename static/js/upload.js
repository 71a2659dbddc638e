/**
 * Sends a file into a volume, through the transfer gateway. What the host has is known there: after a lost connection,
 * or when somebody comes back and chooses the file again, it goes on from that byte. The file is never held in memory.
 */
import { bytes } from "./format.js";

const CHECK_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

const form = document.getElementById("upload");
const chooser = document.getElementById("upload-file");
const box = document.getElementById("upload-progress");
const bar = box.querySelector("progress");
const words = box.querySelector("[role=status]");
const error = document.getElementById("upload-error");
const known = document.getElementById("upload-state");

class Fatal extends Error {}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function show(done, total, text = "") {
  box.hidden = false;
  bar.value = total ? done / total : 0;
  words.textContent = text || `${bytes(done)} of ${bytes(total)} sent`;
}

function fail(text) {
  error.hidden = false;
  error.querySelector("span").textContent = text;
  form.querySelector("[type=submit]").disabled = false;
}

/** The answer as JSON; what the server refuses for good is a Fatal error. */
async function ask(url, options = {}) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.status >= 400 && answer.status < 500 && !body.state) throw new Fatal(body.error || "It was refused.");
  if (!answer.ok && !body.state) throw new Error(`status ${answer.status}`);
  return body;
}

function post(url) {
  const fields = new FormData();
  fields.set("csrfmiddlewaretoken", form.csrfmiddlewaretoken.value);
  return ask(url, { method: "POST", body: fields });
}

/** Sends the file from the byte on that the ticket says. Resolves with what the gateway answered. */
function send(ticket, file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", ticket.url);
    request.withCredentials = true;
    request.setRequestHeader("Authorization", `Ticket ${ticket.token}`);
    request.setRequestHeader("Upload-Offset", String(ticket.received));
    request.responseType = "json";
    request.upload.onprogress = (event) => show(ticket.received + event.loaded, file.size);
    request.onload = () =>
      request.status === 200 ? resolve(request.response) : reject(new Error(request.response?.error));
    request.onerror = () => reject(new Error("The connection was lost"));
    request.send(file.slice(ticket.received));
  });
}

async function carry(page, file) {
  let wait = CHECK_MS;
  for (;;) {
    try {
      const ticket = await post(`${page}ticket/`);
      if (ticket.token) {
        await send(ticket, file);
        wait = CHECK_MS;
      } else if (ticket.ended || ticket.state === "received") {
        return await finish(page);
      } else {
        show(0, file.size, ticket.phase || "The volume is being made");
      }
    } catch (problem) {
      if (problem instanceof Fatal) throw problem;
      wait = Math.min(2 * wait, LONGEST_PAUSE_MS);
      show(bar.value * file.size, file.size, `${problem.message || "It broke off"}: trying again in ${wait / 1000} s`);
    }
    await pause(wait);
  }
}

/** Waits for the job, and goes to its page. */
async function finish(page) {
  for (;;) {
    const state = await ask(`${page}state/`).catch(() => null);
    if (state?.ended) {
      if (state.error && !state.job) throw new Fatal(state.error);
      location.assign(state.job);
      return;
    }
    show(state?.size ?? 1, state?.size ?? 1, state?.phase || "Checking what came");
    await pause(CHECK_MS);
  }
}

async function begin() {
  const file = chooser.files[0];
  if (!file) throw new Fatal("Choose a file first.");
  if (known) {
    const before = JSON.parse(known.textContent);
    if (file.name !== before.file || file.size !== before.size)
      throw new Fatal(`Choose the same file again: ${before.file}.`);
    return carry(form.dataset.page, file);
  }
  form.elements.size_bytes.value = file.size;
  form.elements.file_name.value = file.name;
  const { page } = await ask(location.href, { method: "POST", body: new FormData(form) });
  history.replaceState(null, "", page); // a reload comes back to this upload
  return carry(page, file);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.hidden = true;
  form.querySelector("[type=submit]").disabled = true;
  await begin().catch((problem) => fail(problem.message));
});
chooser.addEventListener("change", () => {
  const name = form.elements.name;
  if (name && !name.value) name.value = chooser.files[0]?.name ?? "";
});

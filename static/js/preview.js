/** A form that says what will happen: its `#summary` is made anew by the server whenever a field changes. */

const form = document.querySelector("form[data-preview]");
const button = document.getElementById("check"); // asks for the same without JavaScript
const PAUSE_MS = 400; // in typing
let latest = 0;
let waiting = 0;

async function show() {
  latest += 1;
  const mine = latest;
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  const text = await answer.text();
  if (mine !== latest) return; // a newer one is on its way
  if (!answer.ok && answer.status !== 400) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById("summary");
  if (fresh) document.getElementById("summary").replaceChildren(...fresh.childNodes);
}

function update() {
  clearTimeout(waiting);
  show().catch(() => {
    button.hidden = false;
  });
}

button.hidden = true;
form.addEventListener("change", update);
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(update, PAUSE_MS);
});
// What was written before this was loaded, or was there when somebody came back:
if ([...form.querySelectorAll("input")].some((input) => input.value !== input.defaultValue)) update();

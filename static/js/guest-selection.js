/** The guests that are chosen, and what is done to all of them. */

import { live } from "./live.js";
import { icon } from "./meter.js";
import { toast } from "./toast.js";

const MOST_NAMES = 6;
const ENDED = {
  succeeded: ["ok", "done"],
  failed: ["bad", "crashed"],
  cancelled: ["off", "force"],
  reconciled: ["warn", "warning"],
};

export class Selection {
  /** `changed()` is called after each change. */
  constructor(form, { changed, most }) {
    this.form = form;
    this.changed = changed;
    this.most = most;
    this.names = new Map(); // uuid → name
    this.bar = document.getElementById("selection");
    if (!this.bar) return;
    document.getElementById("clear").addEventListener("click", () => this.clear());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter?.name === "action") this.act(event.submitter);
    });
    live.on("job", (job) => this.follow(job));
    this.show();
  }

  has(uuid) {
    return this.names.has(uuid);
  }

  /** False, and people are told, when no more can be chosen. */
  add({ uuid, name }) {
    if (this.names.size >= this.most && !this.names.has(uuid)) {
      toast(`No more than ${this.most} guests can be acted on at once.`, { kind: "bad" });
      return false;
    }
    this.names.set(uuid, name);
    this.show();
    return true;
  }

  toggle(row) {
    if (!this.names.delete(row.uuid)) this.add(row);
    this.show();
  }

  clear() {
    this.names.clear();
    this.show();
  }

  show() {
    if (this.bar) {
      const names = [...this.names.values()];
      this.bar.classList.toggle("none", names.length === 0);
      document.getElementById("selected").textContent = names.length ? `${names.length} chosen` : "None chosen";
      const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
      document.getElementById("names").textContent = names.slice(0, MOST_NAMES).join(", ") + more;
      document.getElementById("clear").hidden = names.length === 0;
      for (const button of this.bar.querySelectorAll("[name=action]")) button.disabled = names.length === 0;
    }
    this.changed();
  }

  async act(button) {
    const label = button.textContent.trim().replace("…", "");
    const confirm = button.dataset.loses ? await this.confirm(label, button.dataset.loses) : "";
    if (confirm === null) return;
    const fields = new FormData();
    fields.set("csrfmiddlewaretoken", this.form.csrfmiddlewaretoken.value);
    fields.set("action", button.value);
    fields.set("confirm", confirm);
    for (const uuid of this.names.keys()) fields.append("uuid", uuid);
    try {
      const answer = await fetch(this.form.getAttribute("action"), {
        method: "POST",
        body: fields,
        headers: { Accept: "application/json" },
      });
      const body = await answer.json();
      if (answer.ok) this.report(label, body.results);
      else toast(`${body.error} ${body.hint}`.trim(), { kind: "bad" });
    } catch {
      toast(`${label}: the server did not answer. Look at the jobs before you try again.`, {
        kind: "bad",
        href: "/jobs/",
        link: "Jobs",
      });
    }
  }

  /** The number of guests, typed; null when the person thinks better of it. */
  confirm(label, loses) {
    const dialog = document.getElementById("confirm");
    const field = document.getElementById("confirm-number");
    const yes = document.getElementById("confirm-yes");
    const wanted = String(this.names.size);
    document.getElementById("confirm-title").textContent = `${label}: ${wanted} ${wanted === "1" ? "guest" : "guests"}`;
    document.getElementById("confirm-loses").textContent = loses;
    document.querySelector("label[for=confirm-number]").textContent =
      `To go on, type how many guests that are: ${wanted}`;
    yes.textContent = label;
    yes.disabled = true;
    field.value = "";
    field.oninput = () => {
      yes.disabled = field.value.trim() !== wanted;
    };
    field.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // it would press the first button, which cancels
      if (!yes.disabled) dialog.close("yes");
    };
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.onclose = () => resolve(dialog.returnValue === "yes" && field.value.trim() === wanted ? wanted : null);
    });
  }

  /** What became of each, kept up to date as the jobs go on. */
  report(label, results) {
    document.getElementById("results-title").textContent =
      `${label}: ${results.length} ${results.length === 1 ? "guest" : "guests"}`;
    const list = document.getElementById("results-list");
    list.replaceChildren(...results.map(reportLine));
    document.getElementById("results").showModal();
  }

  follow(job) {
    const line = document.querySelector(`#results-list [data-job="${CSS.escape(job.id)}"]`);
    if (!line) return;
    const [tone, symbol] = ENDED[job.state] ?? ["busy", "job"];
    line.querySelector(".mark").className = `mark ${tone}`;
    line.querySelector(".mark").replaceChildren(icon(symbol));
    line.querySelector(".outcome").textContent = job.error || job.phase || job.state_label;
  }
}

function reportLine({ name, uuid, job, error, hint }) {
  const line = document.createElement("li");
  const mark = Object.assign(document.createElement("span"), { className: `mark ${error ? "bad" : "busy"}` });
  mark.append(icon(error ? "crashed" : "job"));
  const words = document.createElement("span");
  const who = Object.assign(document.createElement(job ? "a" : "b"), { textContent: name || uuid });
  const outcome = Object.assign(document.createElement("span"), { className: "outcome muted" });
  outcome.textContent = error ? `${error} ${hint}`.trim() : "asked for";
  if (job) {
    line.dataset.job = job.id;
    who.href = job.url;
  }
  words.append(who, " ", outcome);
  line.append(mark, words);
  return line;
}

/**
 * The guests that the table knows: windows of what matches, fetched as they come into view, and what live messages
 * say of them since.
 */
import { live } from "./live.js";

const WINDOW = 100;

export class GuestStore {
  /** `changed(uuids)` is called when guests changed, with null when everything may have; `failed(text)` with an error. */
  constructor(url, { changed, failed }) {
    this.url = url;
    this.changed = changed;
    this.failed = failed;
    this.total = 0;
    this.query = "";
    this.sort = "";
    this.guests = new Map(); // uuid → {row, answers, opensHost, sample, tick}
    this.hosts = new Map(); // id → whether it answers
    this.windows = new Map(); // number → uuids in order
    this.asked = new Map(); // number → generation
    this.generation = 0;
    this.followed = new Set(); // uuids of those whose figures come
  }

  /** The guest at a place in the order, or null while it is on its way. */
  at(index) {
    const uuid = this.windows.get(Math.floor(index / WINDOW))?.[index % WINDOW];
    return uuid ? this.guests.get(uuid) : null;
  }

  /** Fetch what is missing of the places `first` … `last`. */
  need(first, last) {
    const begin = Math.floor(first / WINDOW);
    const end = Math.floor(Math.max(first, last) / WINDOW);
    for (let number = begin; number <= end; number += 1) {
      if (!this.windows.has(number) && this.asked.get(number) !== this.generation) this.load(number);
    }
  }

  /** Fetch the places `first` … `last` anew; what else is known of the order is forgotten once they are there. */
  async renew(first, last) {
    this.generation += 1;
    const begin = Math.floor(first / WINDOW);
    const end = Math.floor(Math.max(first, last) / WINDOW);
    const numbers = Array.from({ length: end - begin + 1 }, (_, step) => begin + step);
    const loaded = await Promise.all(numbers.map((number) => this.fetch(number)));
    if (loaded.some((answer) => answer === null)) return;
    this.windows.clear();
    for (const [step, answer] of loaded.entries()) this.take(answer, numbers[step]);
    this.changed(null);
  }

  async load(number) {
    const answer = await this.fetch(number);
    if (!answer) return;
    this.take(answer, number);
    this.changed(null);
  }

  async fetch(number) {
    const generation = this.generation;
    this.asked.set(number, generation);
    const answer = await this.ask(number * WINDOW, WINDOW);
    if (generation !== this.generation) return null;
    if (!answer) this.asked.delete(number);
    return answer;
  }

  /** The server's answer for some places; null after saying why not. */
  async ask(offset, limit) {
    const parameters = new URLSearchParams({ q: this.query, sort: this.sort, offset, limit });
    try {
      const answer = await fetch(`${this.url}?${parameters}`, { headers: { Accept: "application/json" } });
      const body = await answer.json();
      if (answer.ok) return body;
      this.failed(`${body.error} ${body.hint}`.trim());
    } catch {
      this.failed("The server does not answer. The table goes on when it does.");
    }
    return null;
  }

  take(answer, number) {
    this.total = answer.total;
    for (const host of answer.hosts) this.hosts.set(host.host, host.enabled && host.state === "up");
    for (const row of answer.rows) {
      const answers = this.hosts.get(row.host);
      this.guests.set(row.uuid, {
        row,
        answers,
        opensHost: !answer.hidden_hosts.includes(row.host),
        sample: answer.samples[row.uuid] ?? null,
        tick: answer.ticks[row.host] ?? null,
      });
    }
    this.windows.set(
      number,
      answer.rows.map((row) => row.uuid),
    );
  }

  /** Follow what happens to what is known; `unknown()` is called when a guest came, went, or is not known here. */
  listen(unknown) {
    live.on("tick", (message) => {
      const tick = { at: message.at, interval_ms: message.interval_ms };
      for (const guest of this.guests.values()) {
        if (guest.row.host !== message.host) continue;
        const sample = message.guests[guest.row.uuid];
        if (!sample && !this.followed.has(guest.row.uuid)) continue;
        guest.tick = tick;
        guest.sample = sample ?? null;
      }
      this.changed(message.host);
    });
    live.on("guest", ({ row }) => {
      const known = this.guests.get(row.uuid);
      if (known) {
        known.row = row;
        known.answers = this.hosts.get(row.host) ?? true;
        this.changed(null);
      }
      unknown();
    });
    live.on("guest_gone", unknown);
    live.on("host", (message) => {
      const answers = message.enabled && message.state === "up";
      this.hosts.set(message.host, answers);
      for (const guest of this.guests.values()) {
        if (guest.row.host !== message.host) continue;
        guest.answers = answers;
        if (message.last_seen_at) guest.row.observed_at = Math.max(guest.row.observed_at, message.last_seen_at);
      }
      this.changed(null);
    });
    live.on("host_gone", unknown);
    live.on("job", (job) => {
      const known = job.target_kind === "domain" && this.guests.get(job.target_id);
      if (known && ["queued", "running"].includes(job.state) && !known.row.job) unknown();
    });
  }
}

/** The table as one long list: only the lines in view exist, and are used again as it scrolls. */
import { fillAge, fillFigures, fillLine, makeLine } from "./guest-row.js";
import { live } from "./live.js";

const HEIGHT = 30; // of a line, as in static/css/guests.css
const SPARE = 16; // lines above and below what is in view
const MOST_GUESTS = 290;

export class GuestTable {
  constructor(viewport, store, selection) {
    this.viewport = viewport;
    this.store = store;
    this.selection = selection;
    this.table = viewport.querySelector("table");
    this.body = viewport.querySelector("tbody");
    this.lines = new Map(); // place → tr
    this.free = [];
    this.current = -1;
    this.frame = 0;
    this.all = true;
    this.body.replaceChildren();
    viewport.classList.add("alive");
    this.table.role = "grid";
    this.table.ariaMultiSelectable = "true";
    for (const part of [this.table.tHead, this.body]) part.role = "rowgroup";
    this.table.tHead.rows[0].role = "row";
    for (const cell of this.table.tHead.rows[0].cells) cell.role = "columnheader";
    this.table.tabIndex = 0;
    viewport.addEventListener("scroll", () => this.draw(false), { passive: true });
    new ResizeObserver(() => this.draw()).observe(viewport);
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    setInterval(() => this.eachLine(fillAge), 1000);
  }

  /** First and last place in view. */
  view() {
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / HEIGHT));
    const last = Math.min(this.store.total - 1, first + Math.ceil(this.viewport.clientHeight / HEIGHT));
    return [first, Math.max(first, last)];
  }

  /** Draw with the next frame of the screen: lines that came into view, and with `all` the others again as well. */
  draw(all = true) {
    this.all ||= all;
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    const { all } = this;
    this.frame = 0;
    this.all = false;
    const { total } = this.store;
    const [first, last] = this.view();
    const begin = Math.max(0, first - SPARE);
    const end = Math.min(total, last + 1 + SPARE);
    this.store.need(begin, end - 1);
    this.body.style.height = `${total * HEIGHT}px`;
    this.table.setAttribute("aria-rowcount", total + 1);
    for (const [place, line] of this.lines) {
      if (place >= begin && place < end) continue;
      this.lines.delete(place);
      this.free.push(line);
    }
    let before = null;
    for (let place = begin; place < end; place += 1) {
      const known = this.lines.get(place);
      const line = known ?? this.free.pop() ?? makeLine();
      if (!known) this.lines.set(place, line);
      if (all || !known) this.fill(line, place);
      line.style.transform = `translateY(${place * HEIGHT}px)`;
      const next = before ? before.nextSibling : this.body.firstChild;
      if (next !== line) this.body.insertBefore(line, next);
      before = line;
    }
    while (this.body.lastChild !== before) this.body.lastChild.remove(); // lines kept for later
    this.follow();
  }

  fill(line, place) {
    const guest = this.store.at(place);
    fillLine(line, guest, live.now());
    line.id = `line-${place}`;
    line.setAttribute("aria-rowindex", place + 2);
    const chosen = Boolean(guest && this.selection.has(guest.row.uuid));
    line.parts.check.checked = chosen;
    line.classList.toggle("sel", chosen);
    line.setAttribute("aria-selected", chosen);
    line.classList.toggle("current", place === this.current);
  }

  eachLine(act, host = null) {
    for (const [place, line] of this.lines) {
      const guest = this.store.at(place);
      if (guest && (host === null || guest.row.host === host)) act(line, guest, live.now());
    }
  }

  /** New figures of one host's guests. */
  showFigures(host) {
    this.eachLine(fillFigures, host);
  }

  /** Follow the figures of the guests in view, and the fleet for guests that come and go. */
  follow() {
    const rows = [];
    this.eachLine((_, guest) => rows.push(guest.row));
    const followed = rows.slice(0, MOST_GUESTS);
    this.store.followed = new Set(followed.map((row) => row.uuid));
    live.watch("page", ["fleet", ...followed.map((row) => `sample:${row.host}:${row.uuid}`)]);
  }

  go(place) {
    this.current = Math.max(0, Math.min(this.store.total - 1, place));
    const top = this.current * HEIGHT;
    const head = this.table.tHead.offsetHeight;
    const room = this.viewport.clientHeight - head - HEIGHT;
    if (top < this.viewport.scrollTop) this.viewport.scrollTop = top;
    else if (top > this.viewport.scrollTop + room) this.viewport.scrollTop = top - room;
    this.all = true;
    this.drawNow();
    this.table.setAttribute("aria-activedescendant", `line-${this.current}`);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const guest = this.store.at(this.current);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.go(this.current + steps[event.key]);
    else if (event.key === " " && guest) this.selection.toggle(guest.row);
    else if (event.key === "Enter" && guest && event.target === this.table)
      location.href = `/domains/${guest.row.uuid}/`;
    else return;
    event.preventDefault();
  }

  click(event) {
    const line = event.target.closest("tr[data-uuid]");
    const place = [...this.lines].find(([, one]) => one === line)?.[0];
    const guest = place === undefined ? null : this.store.at(place);
    if (!guest || event.target.closest("a")) return;
    if (event.shiftKey && this.current >= 0) this.chooseTo(place);
    else if (event.target.closest("input, .c-check")) this.selection.toggle(guest.row);
    this.current = place;
    this.draw();
  }

  /** Choose everything from the current line to this one, as far as it is loaded. */
  chooseTo(place) {
    const [begin, end] = [Math.min(this.current, place), Math.max(this.current, place)];
    for (let one = begin; one <= end; one += 1) {
      const guest = this.store.at(one);
      if (guest && !this.selection.add(guest.row)) return;
    }
  }
}

/** One line of the guests table, as templates/domains/guest_line.html has it. */
import { age, duration, exact, kib, percent, UNKNOWN } from "./format.js";
import { icon, meter, setMeter } from "./meter.js";
import { stateLook } from "./states.js";

const COLUMNS = ["check", "name", "state", "host", "cpu", "steal", "memory", "vcpus", "numa", "address", "tags"];
const NUMERIC = new Set(["cpu", "steal", "memory", "vcpus"]);
const MUCH_STEAL = 10;
const FRESH_INTERVALS = 3;

/** An empty line: a `tr` with `parts`, to be filled and used again for other guests. */
export function makeLine() {
  const line = document.createElement("tr");
  const cells = Object.fromEntries(COLUMNS.map((key) => [key, line.insertCell()]));
  line.role = "row";
  for (const [key, cell] of Object.entries(cells)) {
    cell.role = "gridcell";
    cell.className = `c-${key}${NUMERIC.has(key) ? " n" : ""}`;
  }
  cells.numa.classList.add("muted");
  cells.address.classList.add("mono", "muted");
  const check = Object.assign(document.createElement("input"), { type: "checkbox", tabIndex: -1 });
  const name = Object.assign(document.createElement("a"), { tabIndex: -1 });
  const host = Object.assign(document.createElement("a"), { tabIndex: -1 });
  const [cpu, memory] = [["cpu", "steal"], ["mem"]].map(meter);
  const mark = icon("unknown");
  const word = document.createTextNode("");
  const state = span("st", "");
  const why = span("faint", "");
  const time = document.createElement("time");
  state.append(mark, word);
  cells.state.append(state, " ", why, " ", time);
  const [cpuText, memoryText] = [0, 1].map(() =>
    Object.assign(document.createElement("span"), { className: "figure" }),
  );
  cells.check.append(check);
  const template = span("tag", "template");
  cells.name.append(name, " ", template);
  cells.host.append(host);
  cells.cpu.append(cpu, cpuText);
  cells.memory.append(memory, memoryText);
  line.parts = {
    cells,
    check,
    name,
    template,
    host,
    state,
    use: mark.firstChild,
    word,
    why,
    time,
    cpu,
    cpuText,
    memory,
    memoryText,
  };
  return line;
}

/** Show a guest, or with null that it is on its way. `guest` is one of a `GuestStore`. */
export function fillLine(line, guest, now) {
  line.classList.toggle("waiting", !guest);
  line.dataset.uuid = guest?.row.uuid ?? "";
  if (!guest) {
    for (const cell of line.cells) cell.title = "";
    return;
  }
  const { cells, check, name, host } = line.parts;
  const { row } = guest;
  check.setAttribute("aria-label", `Choose ${row.name}`);
  set(name, row.name);
  name.href = `/domains/${row.uuid}/`;
  name.title = row.title;
  line.parts.template.hidden = !row.template;
  set(host, row.host_name);
  if (guest.opensHost) host.href = `/hosts/${encodeURIComponent(row.host_name)}/`;
  else host.removeAttribute("href");
  set(cells.vcpus, row.vcpus);
  set(cells.numa, row.numa);
  set(cells.address, row.addresses[0] ?? "");
  cells.address.title = row.addresses.join(", ");
  cells.tags.replaceChildren(...row.tags.flatMap((tag) => [span("tag", tag), " "]));
  cells.state.title = [row.state_label, row.reason_in_full].filter(Boolean).join(", ");
  fillState(line.parts, guest, now);
  fillFigures(line, guest, now);
}

export function fillFigures(line, guest, now) {
  const { cells, cpu, cpuText, memory, memoryText } = line.parts;
  const { row, sample } = guest;
  setMeter(cpu, { cpu: sample?.cpu, steal: sample?.steal });
  cpu.toggleAttribute("hidden", !sample);
  set(cpuText, sample ? percent(sample.cpu) : UNKNOWN);
  set(cells.steal, sample ? percent(sample.steal) : UNKNOWN);
  cells.steal.className = `c-steal n ${sample?.steal >= MUCH_STEAL ? "bad" : "muted"}`;
  const used = sample?.mem === null || !sample || !row.memory_kib ? null : (100 * sample.mem) / row.memory_kib;
  setMeter(memory, { mem: used });
  memory.toggleAttribute("hidden", used === null);
  set(memoryText, kib(row.memory_kib));
  fillAge(line, guest, now);
}

/** Dim what is old, and show how old. */
export function fillAge(line, guest, now) {
  const old = isOld(guest, now);
  if (line.classList.contains("stale") === old) return;
  line.classList.toggle("stale", old);
  fillState(line.parts, guest, now);
}

/** Whether nobody has heard of the guest's host for a while. */
function isOld({ answers, tick }, now) {
  return !answers || !tick || now - tick.at > FRESH_INTERVALS * tick.interval_ms;
}

function fillState({ state, use, word, why, time }, guest, now) {
  const { row, tick } = guest;
  const current = !isOld(guest, now);
  const [tone, symbol, label, reason] = stateOf(row);
  state.className = `st ${tone}`;
  use.setAttribute("href", `#i-${symbol}`);
  set(word, label);
  set(why, reason);
  const lasts = current && row.state !== "running" && row.since_known && !row.job;
  time.hidden = current && !lasts;
  if (time.hidden) {
    delete time.dataset.at;
    return;
  }
  const at = current ? row.since : Math.max(row.observed_at, tick?.at ?? 0);
  time.className = current ? "faint" : "age";
  time.dataset.at = at;
  time.title = exact(at);
  time.toggleAttribute("data-lasting", current);
  set(time, current ? duration(now - at) : age(now - at));
}

function stateOf(row) {
  if (row.split_brain) return ["bad", "warning", "split brain", "active on two hosts"];
  if (row.job) return ["busy", "job", row.job, ""];
  return [...stateLook(row.state), row.state_label, row.reason];
}

function span(className, text) {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

function set(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text;
}

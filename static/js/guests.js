/** The page of guests: search, order, table and selection put together. What is shown stands in the address. */
import { number } from "./format.js";
import { Selection } from "./guest-selection.js";
import { GuestStore } from "./guest-store.js";
import { GuestTable } from "./guest-table.js";
import { live } from "./live.js";
import { refresher } from "./refresh.js";
import { toast } from "./toast.js";

const TYPING_MS = 250;
const CHANGES_MS = 1000; // so often the order is asked for anew while guests change
const FIGURES_MS = 5000; // and while it depends on figures
const FIGURES = /(^|[\s-])(cpu|steal)(:|[<>=])/i;

const form = document.getElementById("guests");
const field = document.getElementById("q");
const match = document.getElementById("match");
const error = document.getElementById("error");
const all = document.getElementById("all");
const most = Number(form?.dataset.most);
let timer = 0;

function start() {
  let table = null;
  const store = new GuestStore(form.dataset.rows, { changed, failed });
  const selection = new Selection(form, { changed: () => table?.draw(), most });
  const address = new URLSearchParams(location.search);
  store.query = address.get("q") ?? "";
  store.sort = address.get("sort") ?? "";
  store.total = Number(form.dataset.total);
  table = new GuestTable(document.getElementById("viewport"), store, selection);
  const refreshCounts = refresher(["counts"]);
  document.getElementById("pages").hidden = true;

  function changed(what) {
    if (typeof what === "number") return table.showFigures(what);
    error.hidden = true;
    match.textContent = `${number(store.total)} guest${store.total === 1 ? "" : "s"}`;
    form.hidden = store.total === 0;
    document.getElementById("empty").hidden = store.total > 0;
    table.draw();
  }

  function failed(text) {
    error.hidden = false;
    error.querySelector("p").textContent = text;
  }

  const renew = () => store.renew(...table.view());

  function soon() {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      renew();
      refreshCounts();
    }, CHANGES_MS);
  }

  function ask(query, sort) {
    store.query = query;
    store.sort = sort;
    const parameters = new URLSearchParams(Object.entries({ q: query, sort }).filter(([, value]) => value));
    history.replaceState(null, "", parameters.size ? `?${parameters}` : location.pathname);
    document.getElementById("viewport").scrollTop = 0;
    table.current = -1;
    store.renew(0, 0);
  }

  let typing = 0;
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => ask(field.value, store.sort), TYPING_MS);
  });
  document.getElementById("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    ask(field.value, store.sort);
  });

  for (const link of form.querySelectorAll("[data-sort]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const { sort } = link.dataset;
      const current = store.sort || "name";
      const first = "largestFirst" in link.dataset ? `-${sort}` : sort;
      const other = first === sort ? `-${sort}` : sort;
      ask(store.query, current === first ? other : first);
      for (const head of form.querySelectorAll("th[aria-sort]")) head.removeAttribute("aria-sort");
      link.closest("th").setAttribute("aria-sort", store.sort.startsWith("-") ? "descending" : "ascending");
    });
  }

  all.hidden = !document.getElementById("selection");
  all.addEventListener("change", async () => {
    selection.clear();
    if (!all.checked) return;
    const answer = await store.ask(0, most);
    for (const row of answer?.rows ?? []) selection.add(row);
    if (answer?.total > most)
      toast(`The first ${most} of ${answer.total} are chosen: no more can be acted on at once.`, { kind: "bad" });
  });

  store.listen(soon);
  live.on("ready", renew);
  setInterval(() => {
    const ordered = /cpu|steal/.test(store.sort) || FIGURES.test(store.query);
    if (ordered && document.visibilityState === "visible") renew();
  }, FIGURES_MS);
  renew();
}

if (form) start();

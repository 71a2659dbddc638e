/** Below a chart: how its values are spread over the range, as a table. */
import { UNITS } from "./chart-units.js";

export function showSpread(box, { spread, unit }) {
  const table = box.querySelector("[data-spread]");
  table.hidden = !spread;
  if (!spread) return;
  const { write } = UNITS[unit];
  table.caption.textContent = `At most so much for half, 95 % and 99 % of this range (means of ${spread.over})`;
  table.tBodies[0].replaceChildren(
    ...spread.lines.map(({ label, median, p95, p99, most }) => {
      const row = document.createElement("tr");
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = label;
      row.append(name);
      for (const value of [median, p95, p99, most]) {
        const cell = row.insertCell();
        cell.className = "n";
        cell.textContent = write(value);
      }
      return row;
    }),
  );
}

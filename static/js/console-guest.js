/** What a console's page says of its guest: its state above, and the button that starts it. */
import { live } from "./live.js";
import { refresher } from "./refresh.js";

export function watchGuest(element) {
  const refresh = refresher(["guest-is"]);
  live.on("guest", ({ row }) => row.uuid === element.dataset.uuid && refresh());

  const form = element.querySelector("form.when-off");
  const why = element.querySelector("[data-why]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    why.textContent = "Asking for the start…";
    const headers = { Accept: "application/json" };
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body: new FormData(form),
      headers,
    }).catch(() => null);
    if (answer?.ok) why.textContent = "Starting. The console opens by itself.";
    else why.textContent = (await answer?.json().catch(() => null))?.error ?? "vmdash cannot be reached.";
  });
}

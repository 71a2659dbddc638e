/**
 * Short messages in the corner. Good news goes by itself; an error stays until it is dismissed.
 *
 *   toast("Web1 started.");
 *   toast("Cannot start web1.", { kind: "bad", href: "/jobs/…", link: "Details" });
 */

const GOOD_NEWS_MS = 6000;

export function toast(text, { kind = "ok", href = "", link = "Details" } = {}) {
  const box = document.getElementById("toasts");
  const item = document.createElement("div");
  item.className = `toast ${kind}`;
  item.setAttribute("role", kind === "bad" ? "alert" : "status");
  const words = document.createElement("p");
  words.textContent = text;
  if (href) {
    const anchor = document.createElement("a");
    anchor.href = href;
    anchor.textContent = link;
    words.append(" ", anchor);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn plain";
  close.textContent = "Dismiss";
  close.addEventListener("click", () => item.remove());
  item.append(words, close);
  box.append(item);
  if (kind !== "bad") setTimeout(() => item.remove(), GOOD_NEWS_MS);
}

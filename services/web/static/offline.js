// The bar that shows a lost connection; each part of a page reports on its own.
const bar = document.querySelector("[data-offline]");
const lost = new Set();

export function report(part, connected) {
  if (connected) lost.delete(part);
  else lost.add(part);
  if (bar) bar.hidden = lost.size === 0;
}

addEventListener("offline", () => report("network", false));
addEventListener("online", () => report("network", true));

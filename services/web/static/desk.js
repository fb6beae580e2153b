// The desk's keys. A key goes to the element whose `aria-keyshortcuts` names it; `j` and `k` go to the case beside the
// open one. They can be switched off, because screen readers and dictation have keys of their own.
import { root } from "./page.js";

const switched = document.querySelector("[data-keys]");
switched.checked = localStorage.getItem("desk-keys") !== "off";
switched.addEventListener("change", () => localStorage.setItem("desk-keys", switched.checked ? "on" : "off"));

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select");
  if (typing && event.key === "Escape") return event.target.blur();
  const other = event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]");
  if (typing || other || !switched.checked) return;
  const target = event.key === "j" ? beside(1) : event.key === "k" ? beside(-1) : named(event.key);
  if (!target?.checkVisibility()) return;
  event.preventDefault();
  target.focus();
  if (!target.matches("textarea, .side")) target.click();
});

function beside(step) {
  const cases = [...document.querySelectorAll(".cases a")];
  const at = cases.findIndex((one) => one.hasAttribute("aria-current"));
  return at < 0 ? cases[0] : cases[at + step];
}

function named(key) {
  return [...document.querySelectorAll("[aria-keyshortcuts]")].find((one) => one.getAttribute("aria-keyshortcuts") === key);
}

// A ready reply goes into the box, and is sent by hand.
document.addEventListener("click", (event) => {
  const canned = event.target.closest("[data-canned]");
  if (!canned) return;
  const text = canned.closest(".talking").querySelector("textarea");
  text.setRangeText(canned.dataset.canned, text.selectionStart, text.selectionEnd, "end");
  text.dispatchEvent(new Event("input", { bubbles: true }));
  text.focus();
});

// On a wide screen the address names the case that is shown, or else news would replace it by one that waits longer.
nameCase();
document.addEventListener("added", nameCase);

function nameCase() {
  const shown = document.querySelector(".panel");
  if (!shown?.checkVisibility() || location.pathname !== `${root}/`) return;
  history.replaceState(null, "", `${root}/cases/${shown.dataset.key}`);
}

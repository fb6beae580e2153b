// Parts of a page that change: the script fetches the page again and replaces the parts that differ. The server renders
// all of them. A part in which a person is typing, or answers a dialog, stays as it is.
import { correct } from "./countdowns.js";
import { inTime, inTurn } from "./page.js";
import { report } from "./offline.js";

const AGAIN = 2_000; // milliseconds
const written = new Map();
for (const region of document.querySelectorAll("[data-region]")) written.set(region.dataset.region, outer(region));

// Ignores the key of a form, which is new each time, and running countdowns.
function outer(region) {
  return region.outerHTML.replaceAll(/name="key" value="[^"]*"/g, "").replaceAll(/data-left="\d+"(?: value="\d+")?>[^<]*/g, "data-left>");
}

export const refresh = inTurn(async () => {
  let page;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: inTime() });
    if (answer.redirected || answer.status === 401) return location.reload();
    if (answer.status >= 500 || answer.status === 429) throw new Error(String(answer.status)); // it is not the page
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.documentElement.dataset.who !== document.documentElement.dataset.who) return location.reload(); // another tab
  } catch {
    again();
    return report("page", false);
  }
  report("page", true);
  for (const list of document.querySelectorAll("[data-keyed]")) rekey(list, page.querySelector(`[data-keyed="${list.dataset.keyed}"]`));
  for (const fresh of page.querySelectorAll("[data-region]")) {
    const name = fresh.dataset.region;
    const old = document.querySelector(`[data-region="${name}"]`);
    if (!old) continue;
    correct(old, fresh);
    if (written.get(name) === outer(fresh) || (old.hasAttribute("data-keep") && fresh.hasAttribute("data-keep"))) continue;
    if (isBusy(old, fresh)) {
      again();
      continue;
    }
    written.set(name, outer(fresh));
    swap(old, document.importNode(fresh, true));
  }
});

// A page without an interval would show what is old until it hears of something else.
let later;
function again() {
  clearTimeout(later);
  later = setTimeout(() => (document.hidden ? again() : refresh()), AGAIN);
}

// Whether a person does something in a part. A dialog is of use only as long as the server still has it.
function isBusy(region, fresh) {
  const active = document.activeElement;
  const over = active.matches("[data-composer] textarea") && !active.value && !fresh.querySelector("[data-composer]");
  const typing = !over && region.contains(active) && active.matches("input:not([type=hidden]), textarea, select");
  const begun = [...region.querySelectorAll("[data-composer] textarea")].some((one) => one.value);
  const dialog = region.querySelector("dialog[open]");
  const asked = dialog !== null && fresh.querySelector(`#${dialog.id}`) !== null;
  return typing || begun || asked || region.querySelector("details[open] form") !== null;
}

function swap(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && heir(focused, old, fresh);
  for (const dialog of fresh.querySelectorAll("dialog[open]")) dialog.removeAttribute("open"); // the person has closed it
  for (const select of old.querySelectorAll("select[id]")) {
    const option = fresh.querySelector(`#${select.id}`)?.querySelector(`[value="${CSS.escape(select.value)}"]`);
    if (option) option.selected = true;
  }
  old.replaceWith(fresh);
  fresh.dispatchEvent(new CustomEvent("added", { bubbles: true }));
  if (focused) (same ?? document.getElementById("content")).focus({ preventScroll: true });
}

// What gets the focus of an element that is replaced: never the same words about another order. Where no target tells
// them apart, their order does.
function heir(focused, old, fresh) {
  const words = (one) => one.textContent.trim();
  const href = (one) => one.getAttribute("href");
  const target = (one) => one.id || href(one) || one.dataset.opens || (one.type === "submit" && one.form?.getAttribute("action")) || "";
  const pressed = (region) => [...region.querySelectorAll("a, button, summary")];
  const alike = (region) => pressed(region).filter((one) => words(one) === words(focused) && target(one) === target(focused));
  const [before, after] = [alike(old), alike(fresh)];
  if (!target(focused) && before.length !== after.length) return null;
  return after[before.indexOf(focused)] ?? pressed(fresh).find((one) => href(one) && href(one) === href(focused));
}

// A list with keys: adds new entries, removes old ones, and leaves the others as they are.
function rekey(list, fresh) {
  if (!fresh) return;
  const keys = new Set([...fresh.children].map((child) => child.dataset.key));
  for (const child of [...list.children]) if (!keys.has(child.dataset.key)) child.remove();
  for (const child of fresh.children) {
    if (list.querySelector(`:scope > [data-key="${child.dataset.key}"]`)) continue;
    const added = document.importNode(child, true);
    list.append(added);
    for (const region of added.querySelectorAll("[data-region]")) written.set(region.dataset.region, outer(region));
    added.dispatchEvent(new CustomEvent("added", { bubbles: true }));
  }
}

// Refreshes at the interval that the server sets, while the page is visible and any part of it has an interval.
let waits = false;
tick();
document.addEventListener("added", tick);

function tick() {
  const soonest = Math.min(...[...document.querySelectorAll("[data-every]")].map((one) => Number(one.dataset.every)));
  if (waits || !Number.isFinite(soonest)) return;
  waits = true;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    waits = false;
    tick();
  }, 1000 * soonest);
}

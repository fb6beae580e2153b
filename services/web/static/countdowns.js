// Time that is left counts down by itself, from what the server said, also while the computer sleeps.
import { countdown, span } from "./page.js";

const TOLERANCE = 2; // seconds, because the server says whole ones
const ends = new WeakMap();

function left(one) {
  if (!ends.has(one)) end(one, one.dataset.left);
  return (ends.get(one) - Date.now()) / 1000;
}

function end(one, seconds) {
  ends.set(one, Date.now() + 1000 * Number(seconds));
}

// Corrects the countdowns of a part of the page by what the server says now: its clock may have been moved.
export function correct(part, fresh) {
  const told = fresh.querySelectorAll("[data-left]");
  [...part.querySelectorAll("[data-left]")].forEach((one, place) => {
    const seconds = told[place]?.dataset.left;
    if (seconds !== undefined && Math.abs(left(one) - seconds) > TOLERANCE) end(one, seconds);
  });
}

setInterval(() => {
  for (const one of document.querySelectorAll("[data-left]")) {
    const seconds = left(one);
    if (one.matches("progress")) one.value = Math.max(0, seconds);
    const text = one.matches("progress") ? "" : "clock" in one.dataset ? countdown(seconds) : span(seconds);
    if (one.textContent !== text) one.textContent = text;
    const due = one.closest(".due");
    due?.classList.toggle("last", seconds < due.dataset.last);
    due?.classList.toggle("soon", seconds >= due.dataset.last && seconds < due.dataset.soon);
  }
}, 1000);

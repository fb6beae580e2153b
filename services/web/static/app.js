// What every page does.
import { countdown, pause, root, span } from "./page.js";
import "./dialogs.js";
import "./offline.js";
import "./regions.js";

// The sign-in forms say how wide the screen is: a phone signs in as the app, anything else as the website.
const phone = matchMedia("(max-width: 640px)");
for (const field of document.querySelectorAll("[data-client]")) {
  const setClient = () => (field.value = phone.matches ? "app" : "web");
  field.form.addEventListener("submit", setClient);
}

// Of two roles side by side, each is signed in at once.
if (self !== top) document.querySelector("form[data-at-once]")?.requestSubmit();

// A form is sent once: the second click of two changes nothing.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method === "dialog" || event.target.target) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  addEventListener("pageshow", () => delete event.target.dataset.sent, { once: true });
});

// Time that is left counts down by itself, from what the server said.
const since = new WeakMap();
setInterval(() => {
  for (const one of document.querySelectorAll("[data-left]")) {
    if (!since.has(one)) since.set(one, performance.now());
    const left = Number(one.dataset.left) - (performance.now() - since.get(one)) / 1000;
    if (one.matches("progress")) one.value = Math.max(0, left);
    const text = one.matches("progress") ? "" : "clock" in one.dataset ? countdown(left) : span(left);
    if (one.textContent !== text) one.textContent = text;
    const due = one.closest(".due");
    due?.classList.toggle("last", left < due.dataset.last);
    due?.classList.toggle("soon", left >= due.dataset.last && left < due.dataset.soon);
  }
}, 1000);

// The scrolling row of statuses starts at the current one.
const chosen = document.querySelector(".tabs [aria-current]");
if (chosen) {
  const row = chosen.parentElement; // it alone: scrollIntoView would also scroll the page that this one is framed by
  row.scrollLeft = chosen.offsetLeft - row.offsetLeft - (row.clientWidth - chosen.offsetWidth) / 2;
}

// What is unread is counted beside its name; a service that does not answer leaves its count as it is.
if (document.querySelector('[data-count="chat"]')) countUnread();

async function countUnread() {
  for (;;) {
    if (!document.hidden) {
      try {
        const answer = await fetch(`${root}/unread`, { headers: { Accept: "application/json" } });
        for (const [name, count] of Object.entries(await answer.json())) {
          const badge = document.querySelector(`[data-count="${name}"]`);
          badge.textContent = count > 99 ? "99+" : String(count);
          badge.hidden = !count;
        }
      } catch {
        // It is asked again soon.
      }
    }
    await pause(5000);
  }
}

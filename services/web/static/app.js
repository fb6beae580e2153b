// What every page does.
import { inTime, pause, root } from "./page.js";
import "./offline.js";
import "./regions.js"; // before the next, which opens dialogs: it compares what the server wrote
import "./dialogs.js";

// The sign-in forms say how wide the screen is: a phone signs in as the app, anything else as the website.
const phone = matchMedia("(max-width: 640px)");
for (const field of document.querySelectorAll("[data-client]")) {
  const setClient = () => (field.value = phone.matches ? "app" : "web");
  field.form.addEventListener("submit", setClient);
}

// Of two roles side by side, each is signed in at once.
if (self !== top) document.querySelector("form[data-at-once]")?.requestSubmit();

// A form is sent once: the second click of two changes nothing. Later it is another try, as after a request that was
// stopped.
const AGAIN = 10_000;
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method === "dialog" || event.target.target) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  const over = () => delete event.target.dataset.sent;
  addEventListener("pageshow", over, { once: true });
  setTimeout(over, AGAIN);
});

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
        const answer = await fetch(`${root}/unread`, { headers: { Accept: "application/json" }, signal: inTime() });
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

// The state of services and money, read every second while the page is visible.
import { showClock, showDeadlines, showFaults } from "./faults.js";
import { SERVICES } from "./layout.js";
import { lookAtMoney } from "./money.js";
import { showParked } from "./parked.js";
import { mark } from "./picture.js";
import { ask, press, put, root } from "./words.js";

const EVERY = 1000;
const NORMAL = { connected: true, consuming: true, handling: true, once: true, acknowledging: true };
const UNKNOWN = { unpublished: "?", waiting: null, parked_in_all: 0, switches: NORMAL };
const states = {};

const find = (selector) => root.querySelector(selector);

// Seconds by which the services' time is ahead.
export const clockAhead = () => states.orders?.clock ?? 0;

async function look() {
  const answers = await Promise.allSettled(SERVICES.map((name) => ask("GET", `/${name}/demonstration/state`)));
  answers.forEach((answer, index) => {
    const name = SERVICES[index];
    if (answer.value?.switches) states[name] = answer.value;
    else delete states[name];
    show(name, states[name]);
  });
  showParked(states);
  showFaults(states);
  showDeadlines(states);
  press(find("[data-broker]"), SERVICES.some((name) => states[name] && !states[name].switches.connected));
  showClock(states.orders?.clock);
}

function show(name, state) {
  const place = find(`[data-service="${name}"]`);
  place.classList.toggle("away", !state);
  for (const number of place.querySelectorAll("[data-number]")) {
    put(number, state ? (state[number.dataset.number] ?? "?") : "?");
    number.classList.toggle("some", Boolean(state?.[number.dataset.number]));
  }
  mark(name, state ?? UNKNOWN);
  if (!state) return;
  for (const button of place.querySelectorAll("[data-switch]")) press(button, !state.switches[button.dataset.switch]);
}

export async function lookAgain() {
  await Promise.allSettled([look(), lookAtMoney()]);
}

export function turn(name, changes) {
  return ask("PUT", `/${name}/demonstration/switches`, { ...states[name]?.switches, ...changes });
}

export const heal = (name) => turn(name, NORMAL);

export async function follow() {
  for (;;) {
    if (!document.hidden) await lookAgain();
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

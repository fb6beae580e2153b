// What is broken on purpose now, and for how long; and what will happen by itself, and when.
import { drawn } from "./dots.js";
import { SERVICES } from "./layout.js";
import { sign } from "./picture.js";
import { element, press, put, root, say, short } from "./words.js";

const SWITCHES = { consuming: "pause", handling: "fail", once: "twice", acknowledging: "crash" }; // what turns it off
const DUE = 12; // deadlines that are listed
const faults = root.querySelector("[data-faults]");
const heal = root.querySelector("[data-heal]");
const deadlines = root.querySelector("[data-deadlines]");
const buttons = root.querySelectorAll("[data-dana]");
let dana = "", known = {};

// `weather`: undefined if it is not known.
export function setDana(weather) {
  dana = weather ?? "";
  for (const button of buttons) press(button, button.dataset.dana === weather);
  sign("dana", "DANA", Boolean(dana) && dana !== "well");
  showFaults(known);
}

function minutes(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

export function showFaults(states) {
  known = states;
  const found = [];
  const add = (text, left) => found.push(element("li", { class: "chip bad" }, text, element("span", { class: "number" }, left)));
  const away = SERVICES.filter((name) => states[name] && !states[name].switches.connected);
  if (away.length) add(say("fault.connected"), minutes(Math.max(...away.map((name) => states[name].resets_in))));
  for (const name of SERVICES) {
    for (const [one, on] of Object.entries(states[name]?.switches ?? {})) {
      if (!on && one !== "connected") add(say("of", { what: say(SWITCHES[one]), service: name }), minutes(states[name].resets_in));
    }
  }
  if (dana && dana !== "well") add(`DANA: ${say(`dana.${dana}`)}`, say("fault.stays"));
  heal.hidden = !found.length;
  if (!found.length) found.push(element("li", { class: "muted" }, say("fault.none")));
  faults.replaceChildren(...found);
}

function span(seconds) {
  if (seconds <= 0) return say("due.now");
  const [unit, size] = seconds >= 172_800 ? ["d", 86_400] : seconds >= 5_400 ? ["h", 3_600] : seconds >= 90 ? ["min", 60] : ["s", 1];
  return say(`due.${unit}`, { count: Math.round(seconds / size) });
}

export function showDeadlines(states) {
  const all = SERVICES.flatMap((name) => (states[name]?.deadlines ?? []).map((one) => ({ ...one, service: name })));
  all.sort((one, other) => own(other) - own(one) || one.due_in - other.due_in);
  const items = all.slice(0, DUE).map((one) => {
    const effect = say(`due.${one.service}.${one.kind}`);
    const head = element("span", { class: "between" }, element("span", {}, element("b", {}, one.kind), ` · ${one.service} · ${short(one.subject)}`), element("b", { class: "number" }, span(one.due_in)));
    return element("li", own(one) ? { class: "own" } : {}, head, element("span", { class: "small-text muted" }, effect === `due.${one.service}.${one.kind}` ? "" : effect));
  });
  deadlines.replaceChildren(...(items.length ? items : [element("li", { class: "muted" }, say("due.none"))]));
}

const own = (one) => Number(Boolean(drawn.followed) && one.correlation_id === drawn.followed);

export function showClock(seconds) {
  const hours = Number.isFinite(seconds) ? Math.round(seconds / 3600) : "?";
  put(root.querySelector("[data-clock]"), say("clock.lead", { span: say("clock.hours", { count: hours }) }));
  sign("clock", hours ? say("clock.ahead", { count: hours }) : say("clock"), false);
}

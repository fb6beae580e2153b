// The state of services and money, read every second while the page is visible; and the switches.
import { SERVICES } from "./layout.js";
import { mark } from "./picture.js";
import { announce, ask, element, root, rupiah, say, when } from "./words.js";

const EVERY = 1000;
const states = {};
const UNKNOWN = { unpublished: "?", waiting: null, parked_in_all: 0, switches: { connected: true, consuming: true, handling: true } };

const find = (selector) => root.querySelector(selector);
const all = (selector) => [...root.querySelectorAll(selector)];
const press = (button, on) => button.setAttribute("aria-pressed", String(on));
const put = (place, text) => place && place.textContent !== String(text) && (place.textContent = text);

async function look() {
  const answers = await Promise.allSettled(SERVICES.map((name) => ask("GET", `/${name}/demonstration/state`)));
  answers.forEach((answer, index) => {
    const name = SERVICES[index];
    if (answer.value?.switches) states[name] = answer.value;
    else delete states[name];
    show(name, states[name]);
  });
  showParked();
  press(find("[data-broker]"), SERVICES.some((name) => states[name] && !states[name].switches.connected));
  const hours = states.orders ? Math.round(states.orders.clock / 3600) : "?";
  put(find("[data-clock]"), say("clock.lead", { span: say("clock.hours", { count: hours }) }));
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

function showParked() {
  const list = find("[data-parked]");
  const aside = SERVICES.flatMap((name) => (states[name]?.parked ?? []).map((one) => ({ ...one, service: name })));
  const away = SERVICES.filter((name) => !states[name]).join(", ");
  const marks = `${away} ${aside.map((one) => `${one.parked_id} ${one.state} ${one.error}`).join()}`;
  if (list.dataset.shown === marks) return; // or else a focused button would lose the focus each second
  list.dataset.shown = marks;
  const total = SERVICES.reduce((sum, name) => sum + (states[name]?.parked_in_all ?? 0), 0);
  const items = aside.slice(0, 30).map(parked);
  if (away) items.push(element("li", { class: "muted" }, say("parked.unknown", { services: away })));
  else if (!aside.length) items.push(element("li", { class: "muted" }, say("parked.none")));
  if (total > items.length && aside.length) items.push(element("li", { class: "muted" }, say("parked.more", { count: total - items.length })));
  list.replaceChildren(...items);
}

function parked(one) {
  const button = element("button", { type: "button", class: "small", "aria-label": say("of", { what: say("replay"), service: `${one.service}, ${one.routing_key}` }) }, say("replay"));
  when(button, async () => {
    await ask("POST", `/${one.service}/demonstration/parked/${one.parked_id}/replay`);
    announce(say("replay.asked"));
  });
  const head = element("span", {}, element("b", {}, one.routing_key), " → ", one.service);
  return element("li", { class: "between" }, element("div", {}, head, element("p", { class: "small-text bad-text" }, one.error)), button);
}

// The figures that can be read now; what cannot be read is missing, and never what it was before.
async function readMoney() {
  const known = (asked) => asked.then((found) => found ?? undefined, () => undefined);
  // The refunds first: what is refunded then is owed when that is read.
  const [money, dana] = await Promise.all([
    known(ask("GET", "/refunds/demonstration/money")),
    known(ask("GET", "/refunds/demonstration/dana")),
  ]);
  const owed = await known(ask("GET", "/orders/demonstration/money"));
  return { back: money && (money.refunds?.issued ?? { refunds: 0, amount: 0 }), ledger: money?.ledger, owed, dana };
}

function judge({ back, ledger, owed }) {
  if (![back?.amount, back?.refunds, ledger, owed?.amount, owed?.orders].every(Number.isInteger)) return "unknown";
  if (ledger !== 0 || back.amount > owed.amount || back.refunds > owed.orders) return "wrong";
  return owed.amount === back.amount && owed.orders === back.refunds ? "right" : "moving";
}

async function lookAtMoney() {
  const { back, ledger, owed, dana } = await readMoney();
  const orders = (count) => say("money.orders", { count });
  const refunds = (count) => say("money.refunds", { count });
  const figures = {
    owed: owed && [owed.amount, orders(owed.orders)],
    back: back && [back.amount, refunds(back.refunds)],
    way: owed && back && [owed.amount - back.amount, refunds(owed.orders - back.refunds)],
    ledger: [ledger, ""],
    dana: dana && [dana.amount, refunds(dana.payments)],
  };
  for (const [key, figure] of Object.entries(figures)) {
    const shown = Number.isInteger(figure?.[0]) ? [rupiah(figure[0]), figure[1]] : ["–", ""];
    put(find(`[data-amount="${key}"]`), shown[0]);
    put(find(`[data-count="${key}"]`), shown[1]);
  }
  const verdict = judge({ back, ledger, owed });
  put(find("[data-verdict]"), say(`money.${verdict}`));
  find("[data-verdict]").className = `notice ${{ wrong: "bad", right: "good", moving: "warn", unknown: "warn" }[verdict]}`;
  for (const button of all("[data-dana]")) press(button, button.dataset.dana === dana?.weather);
}

export async function lookAgain() {
  await Promise.allSettled([look(), lookAtMoney()]);
}

const pressed = (button) => button.getAttribute("aria-pressed") === "true";
const turn = (name, changes) => ask("PUT", `/${name}/demonstration/switches`, { ...states[name]?.switches, ...changes });

for (const button of all("[data-switch]")) {
  const name = button.closest("[data-service]").dataset.service;
  when(button, async () => {
    await turn(name, { [button.dataset.switch]: pressed(button) });
    await lookAgain();
  });
}
for (const button of all("[data-poison]")) {
  const name = button.closest("[data-service]").dataset.service;
  when(button, () => ask("POST", `/${name}/demonstration/poison`));
}
when(find("[data-broker]"), async (button) => {
  const connected = pressed(button);
  await Promise.all(SERVICES.map((name) => turn(name, { connected })));
  await lookAgain();
});
for (const button of all("[data-dana]")) {
  when(button, async () => {
    await ask("PUT", "/refunds/demonstration/dana", { weather: button.dataset.dana });
    await lookAgain();
  });
}
for (const button of all("[data-advance]")) {
  when(button, async () => {
    const hours = Number(button.dataset.advance);
    await Promise.all([...SERVICES, "web"].map((name) => ask("POST", `/${name}/demonstration/clock`, { hours })));
    await lookAgain();
  });
}
for (const button of all("[data-start]")) {
  when(button, async () => {
    const count = Number(button.dataset.start);
    announce(say("started", { count }));
    await ask("POST", `/web/flow/stories?count=${count}&dana=${button.dataset.through === "dana"}`);
  });
}

export async function follow() {
  for (;;) {
    if (!document.hidden) await lookAgain();
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

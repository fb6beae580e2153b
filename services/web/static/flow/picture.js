// The picture: services around the exchange, with their outboxes and queues, and what waits there.
import { layout, SERVICES } from "./layout.js";
import { root, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const PILED = 5; // messages that are drawn one by one
const svg = root.querySelector("[data-picture]");
const narrow = matchMedia("(max-width: 640px)");

const marked = new Map(), signed = new Map();
export let map = layout(narrow.matches);
export const dots = draw("g", { class: "dots" });

export function draw(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function line(from, to, kind) {
  return draw("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: `edge ${kind}` });
}

function place(name, kind) {
  const [x, y] = map.places[name];
  return draw("g", { transform: `translate(${x} ${y})`, class: `node ${kind}`, "data-node": name });
}

function box(name, round) {
  const [width, height] = map.size(name);
  return draw("rect", { x: -width / 2, y: -height / 2, width, height, rx: round ? height / 2 : 14 });
}

function service(name) {
  const [width, height] = map.node;
  const node = place(name, "");
  const fact = (key, part) => draw("text", { y: (height / 2) * part, class: `fact ${key}`, "data-fact": key });
  node.append(box(name, false), draw("text", { y: (height / 2) * -0.45, class: "name" }, name));
  node.append(fact("unpublished", 0.02), fact("waiting", 0.42), fact("broken", 0.84));
  // Away from the exchange, and from what waits.
  const [across, down] = map.places[name].map((one, axis) => one - map.places.exchange[axis]);
  const [x, y] = [(across < 0 ? -1 : 1) * (width / 2 - 6), (down > 0 ? 1 : -1) * (height / 2 - 4)];
  const badge = draw("g", { class: "badge", transform: `translate(${x} ${y})`, visibility: "hidden" });
  badge.append(draw("rect", { x: -16, y: -11, width: 32, height: 22, rx: 11 }), draw("text", { y: 5, "data-fact": "parked_in_all" }));
  node.append(badge);
  return node;
}

function round(name, ...words) {
  const node = place(name, `round ${name}`);
  const lines = words.map((word, index) => draw("text", { y: 5 + (index - (words.length - 1) / 2) * 20, class: "name small" }, word));
  node.append(box(name, true), ...lines);
  return node;
}

function exchange() {
  const [width, height] = map.size("exchange");
  const [x, y] = [width / 2, height / 2];
  const node = place("exchange", "exchange");
  node.append(draw("path", { d: `M${-x} 0 ${-x / 2} ${-y}H${x / 2}L${x} 0 ${x / 2} ${y}H${-x / 2}z` }), draw("text", { y: 5, class: "name small" }, say("exchange")));
  return node;
}

export function paint() {
  map = layout(narrow.matches);
  const { places, outboxes, queues } = map;
  svg.setAttribute("viewBox", `0 0 ${map.box[0]} ${map.box[1]}`);
  const edges = draw("g");
  const stores = draw("g", { class: "stores" });
  for (const name of SERVICES) {
    edges.append(line(places.people, places[name], "asks"), line(outboxes[name], places.exchange, "out"));
    stores.append(draw("circle", { cx: outboxes[name][0], cy: outboxes[name][1], r: 6, class: "outbox" }));
    stores.append(draw("g", { class: "pile outbox", "data-pile": `${name} unpublished` }));
    if (name === "accounts") continue;
    edges.append(line(places.exchange, queues[name], "in"));
    stores.append(draw("circle", { cx: queues[name][0], cy: queues[name][1], r: 6, class: "queue" }));
    stores.append(draw("g", { class: "pile queue", "data-pile": `${name} waiting` }));
  }
  edges.append(line(places.refunds, places.dana, "asks"));
  const people = narrow.matches ? [say("people")] : say("people").split(", ");
  const nodes = [round("people", ...people), round("clock", say("clock")), round("dana", "DANA"), exchange()];
  svg.replaceChildren(edges, ...nodes, ...SERVICES.map(service), stores, dots);
  for (const control of root.querySelectorAll("[data-place]")) settle(control, control.dataset.place);
  marked.forEach((state, name) => mark(name, state));
  signed.forEach((how, name) => sign(name, ...how));
}

// Lays a control over its node; what it opens stays within the picture.
function settle(control, name) {
  control.hidden = !map.places[name];
  if (control.hidden) return;
  const [width, height] = map.box;
  const [x, y] = map.places[name];
  const [wide, high] = map.size(name);
  const part = (value, whole) => `${(value / whole) * 100}%`;
  Object.assign(control.style, { left: part(x - wide / 2, width), top: part(y - high / 2, height), width: part(wide, width), height: part(high, height) });
  control.classList.toggle("low", y > height / 2 + 1);
  control.classList.toggle("far", x > width / 2 + 1);
}

function pile(name, what, [x, y, u, v], count) {
  const place = svg.querySelector(`[data-pile="${name} ${what}"]`);
  if (!place || place.dataset.count === String(count)) return;
  place.dataset.count = String(count);
  const shown = Math.min(count || 0, PILED);
  place.replaceChildren(...Array.from({ length: shown }, (_, n) => draw("rect", { x: x + u * 13 * n - 6, y: y + v * 13 * n - 5, width: 12, height: 10, rx: 2 })));
}

export function mark(name, state) {
  marked.set(name, state);
  const node = svg.querySelector(`[data-node="${name}"]`);
  if (!node) return;
  const broken = Object.keys(state.switches).filter((one) => !state.switches[one]);
  const facts = {
    unpublished: `${say("outbox")} ${state.unpublished}`,
    waiting: state.waiting === null ? "" : `${say("queue")} ${state.waiting}`,
    broken: broken.map((one) => say(`broken.${one}`)).join(", "),
    parked_in_all: state.parked_in_all,
  };
  for (const [key, text] of Object.entries(facts)) {
    const place = node.querySelector(`[data-fact="${key}"]`);
    if (place.textContent !== String(text)) place.textContent = text;
  }
  pile(name, "unpublished", map.outboxes[name], state.unpublished);
  pile(name, "waiting", map.queues[name], state.waiting);
  node.querySelector(".badge").setAttribute("visibility", state.parked_in_all ? "visible" : "hidden");
  node.classList.toggle("cut", !state.switches.connected);
  node.classList.toggle("paused", broken.length > 0 && state.switches.connected);
}

// Marks a node that is no service, such as DANA while it fails.
export function sign(name, text, bad) {
  signed.set(name, [text, bad]);
  const node = svg.querySelector(`[data-node="${name}"]`);
  node?.classList.toggle("cut", bad);
  const place = node?.querySelector("text:last-of-type");
  if (place && place.textContent !== text) place.textContent = text;
}

export function blink(name) {
  const node = svg.querySelector(`[data-node="${name}"]`);
  node?.classList.add("lit");
  setTimeout(() => node?.classList.remove("lit"), 400);
}

narrow.addEventListener("change", paint);

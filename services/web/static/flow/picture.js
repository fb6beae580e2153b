// The picture: services around the exchange, with their outboxes and queues.
import { layout, SERVICES } from "./layout.js";
import { root, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const svg = root.querySelector("[data-picture]");
const narrow = matchMedia("(max-width: 640px)");

const marked = new Map();
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

function service(name) {
  const [x, y] = map.places[name];
  const [width, height] = map.node;
  const node = draw("g", { transform: `translate(${x} ${y})`, class: "node", "data-node": name });
  node.append(
    draw("rect", { x: -width / 2, y: -height / 2, width, height, rx: 14 }),
    draw("text", { y: -height / 2 + 26, class: "name" }, name),
    draw("text", { y: -height / 2 + 48, class: "fact", "data-fact": "unpublished" }),
    draw("text", { y: -height / 2 + 67, class: "fact", "data-fact": "waiting" }),
  );
  const badge = draw("g", { class: "badge", transform: `translate(${width / 2 - 6} ${-height / 2 + 4})`, visibility: "hidden" });
  badge.append(draw("rect", { x: -16, y: -11, width: 32, height: 22, rx: 11 }), draw("text", { y: 5, "data-fact": "parked_in_all" }));
  node.append(badge);
  return node;
}

function round(name, text, size) {
  const [x, y] = map.places[name];
  const node = draw("g", { transform: `translate(${x} ${y})`, class: `node round ${name}`, "data-node": name });
  node.append(draw("rect", { x: -size / 2, y: -26, width: size, height: 52, rx: 26 }), draw("text", { y: 5, class: "name" }, text));
  return node;
}

export function paint() {
  map = layout(narrow.matches);
  const { places, outboxes, queues, box } = map;
  svg.setAttribute("viewBox", `0 0 ${box[0]} ${box[1]}`);
  const edges = draw("g");
  for (const name of SERVICES) {
    edges.append(line(places.people, places[name], "asks"));
    edges.append(line(outboxes[name], places.exchange, "out"));
    if (name !== "accounts") edges.append(line(places.exchange, queues[name], "in"));
  }
  edges.append(line(places.refunds, places.dana, "asks"));
  const stores = draw("g", { class: "stores" });
  for (const name of SERVICES) {
    stores.append(draw("circle", { cx: outboxes[name][0], cy: outboxes[name][1], r: 6, class: "outbox" }));
    if (name !== "accounts") stores.append(draw("circle", { cx: queues[name][0], cy: queues[name][1], r: 6, class: "queue" }));
  }
  const [x, y] = places.exchange;
  const exchange = draw("g", { transform: `translate(${x} ${y})`, class: "node exchange", "data-node": "exchange" });
  exchange.append(draw("path", { d: "M-58 0-29-42H29L58 0 29 42H-29z" }), draw("text", { y: 5, class: "name" }, say("exchange")));
  const people = narrow.matches ? 196 : 150;
  const words = narrow.matches ? [say("people")] : say("people").split(", ");
  const actors = round("people", "", people);
  if (words.length > 1) {
    actors.firstChild.setAttribute("y", -42);
    actors.firstChild.setAttribute("height", 84);
  }
  words.forEach((word, index) => actors.append(draw("text", { y: 5 + (index - (words.length - 1) / 2) * 20, class: "name small" }, word)));
  svg.replaceChildren(edges, actors, round("dana", "DANA", 92), exchange, ...SERVICES.map(service), stores, dots);
  marked.forEach((state, name) => mark(name, state));
}

export function mark(name, state) {
  marked.set(name, state);
  const node = svg.querySelector(`[data-node="${name}"]`);
  if (!node) return;
  const facts = {
    unpublished: `${say("outbox")} ${state.unpublished}`,
    waiting: state.waiting === null ? "" : `${say("queue")} ${state.waiting}`,
    parked_in_all: state.parked_in_all,
  };
  for (const [key, text] of Object.entries(facts)) node.querySelector(`[data-fact="${key}"]`).textContent = text;
  node.querySelector(".badge").setAttribute("visibility", state.parked_in_all ? "visible" : "hidden");
  node.classList.toggle("cut", !state.switches.connected);
  node.classList.toggle("paused", !state.switches.consuming || !state.switches.handling);
}

export function blink(name) {
  const node = svg.querySelector(`[data-node="${name}"]`);
  node?.classList.add("lit");
  setTimeout(() => node?.classList.remove("lit"), 400);
}

narrow.addEventListener("change", paint);

// Events as moving dots. What happens within milliseconds is drawn slowly, one step after the other: the next step of
// an event waits until the last one has been drawn.
import { blink, dots, draw, map } from "./picture.js";

const MAX = 44; // dots at a time; what does not fit is counted
const LATEST = 2500; // ms by which the drawing may lag behind
const STEP = { requested: 650, written: 300, out: 450, in: 450, handled: 350, called: 900 };
const APART = 130; // ms between two dots on one way
const APART_FROM = 0.4; // of the way from the exchange: before that the names of one event would lie on each other
const still = matchMedia("(prefers-reduced-motion: reduce)");

const moving = new Set();
const spare = [];
const ready = new Map(); // when the last step of an event, there, is drawn
const ways = new Map(); // when the last dot set out on a way

export const drawn = { undrawn: 0 };

const KINDS = [
  [/^RefundIssued|^paid/, "good"],
  [/^OrderCancelRequested|Delayed/, "warn"],
  [/^OrderCancel/, "bad"],
  [/^[A-Z]+ /, "plain"],
];

function kind(name) {
  return KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? "brand";
}

function path(move) {
  const { places, outboxes, queues } = map;
  const at = places[move.service];
  if (!at) return [];
  switch (move.stage) {
    case "requested":
      return [[places.people, at]];
    case "written":
      return [[at, outboxes[move.service]]];
    case "handled":
    case "repeated":
      return [[queues[move.service], at]];
    case "called":
      return [[at, places.dana, at]];
    default:
      return [];
  }
}

function launch(points, begin, took, move, colour, named = 0) {
  if (moving.size >= MAX) {
    drawn.undrawn += move.count;
    return;
  }
  const dot = spare.pop() ?? draw("g");
  if (!dot.firstChild) dot.append(draw("circle", { r: 7 }), draw("text", { x: 12, y: 4 }));
  dot.setAttribute("class", `dot ${colour}${move.count > 1 ? " many" : ""}`);
  dot.setAttribute("visibility", "hidden");
  dot.firstChild.setAttribute("r", move.count > 1 ? 11 : 7);
  dot.lastChild.textContent = move.count > 1 ? `${move.name} ×${move.count}` : move.name;
  dots.append(dot);
  dot.lastChild.setAttribute("visibility", named ? "hidden" : "inherit");
  moving.add({ dot, points, begin, took, named });
  if (moving.size === 1) requestAnimationFrame(step);
}

function step(now) {
  for (const one of moving) {
    const part = (now - one.begin) / one.took;
    if (part < 0) continue;
    if (part >= 1) {
      moving.delete(one);
      one.dot.remove();
      spare.push(one.dot);
      continue;
    }
    const legs = one.points.length - 1;
    const leg = Math.min(Math.floor(part * legs), legs - 1);
    const [from, to] = [one.points[leg], one.points[leg + 1]];
    const along = ease(part * legs - leg);
    const x = from[0] + (to[0] - from[0]) * along;
    const y = from[1] + (to[1] - from[1]) * along;
    one.dot.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    one.dot.setAttribute("visibility", "visible");
    if (one.named && part > one.named) one.dot.lastChild.setAttribute("visibility", "inherit");
  }
  if (moving.size) requestAnimationFrame(step);
}

function ease(part) {
  return part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) * (1 - part);
}

// When a step can begin: after what it follows from, and a little behind the last dot on the same way.
function turn(way, ...after) {
  const now = performance.now();
  const begin = Math.max(now, (ways.get(way) ?? 0) + APART, ...after.map((key) => ready.get(key) ?? 0));
  ways.set(way, begin);
  return begin - now > LATEST ? null : begin;
}

function note(key, at) {
  ready.set(key, at);
  if (ready.size > 600) ready.delete(ready.keys().next().value);
}

export function show(move) {
  if (still.matches) {
    blink(move.service);
    if (move.stage === "sent") blink("exchange");
    return;
  }
  const colour = kind(move.name);
  if (move.stage === "sent") return send(move, colour);
  if (["failed", "parked", "fired"].includes(move.stage)) return blink(move.service);
  const after = [`${move.id}@${move.service}`, `${move.cause}@${move.service}`, move.id ?? "", move.story ? `${move.story}@${move.service}` : ""];
  const begin = turn(`${move.stage} ${move.service}`, ...after);
  if (begin === null) return void (drawn.undrawn += move.count);
  const took = STEP[move.stage] ?? STEP.handled;
  for (const points of path(move)) launch(points, begin, took, move, move.status >= 400 ? "bad" : colour);
  if (move.stage === "requested" && move.story) note(`${move.story}@${move.service}`, begin + took);
  if (move.id) note(`${move.id}@${move.service}`, begin + took);
}

function send(move, colour) {
  const { places, outboxes, queues } = map;
  if (!outboxes[move.service]) return;
  const begin = turn(`out ${move.service}`, `${move.id}@${move.service}`);
  if (begin === null) return void (drawn.undrawn += move.count);
  launch([outboxes[move.service], places.exchange], begin, STEP.out, move, colour);
  for (const consumer of move.to) {
    if (queues[consumer]) launch([places.exchange, queues[consumer]], begin + STEP.out, STEP.in, move, colour, APART_FROM);
    if (move.id) note(`${move.id}@${consumer}`, begin + STEP.out + STEP.in);
  }
}

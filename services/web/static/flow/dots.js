// Events as moving dots. What happens within milliseconds is drawn slowly, one step after the other: the next step of
// an event waits until the last one has been drawn.
import { place, wanted } from "./labels.js";
import { blink, dots, draw, map } from "./picture.js";

const MAX = 44; // dots at a time; what does not fit is counted
const LATEST = 2500; // ms by which the drawing may lag behind
const STEP = { requested: 650, written: 300, out: 450, in: 450, handled: 350, called: 900 };
const APART = 130; // ms between two dots on one way
const still = matchMedia("(prefers-reduced-motion: reduce)");

const moving = new Set();
const spare = [];
const ready = new Map(); // when the last step of an event, there, is drawn
const ways = new Map(); // when the last dot set out on a way

export const drawn = { undrawn: 0, followed: "", paused: false };

let stopped = 0; // when the drawing was stopped, or 0
let behind = 0; // ms for which it has been stopped so far
let asked = 0; // the next frame

const time = () => (stopped || performance.now()) - behind;

// Stops all dots where they are, and everything that would be drawn from now on.
export function pause() {
  drawn.paused = true;
  stopped ||= performance.now();
}

export function resume() {
  drawn.paused = false;
  run();
}

function run() {
  if (stopped) behind += performance.now() - stopped;
  stopped = 0;
  drawSoon();
}

function drawSoon() {
  asked ||= requestAnimationFrame(step);
}

// Draws one move alone, while all others are stopped; its dots stay where they arrive.
export function showAlone(move) {
  clear();
  run();
  show(move);
}

export function clear() {
  moving.clear();
  ready.clear();
  ways.clear();
  for (const dot of [...dots.children]) free(dot);
}

function free(dot) {
  dot.remove();
  spare.push(dot);
}

const KINDS = [
  [/^RefundIssued|^paid/, "good"],
  [/^OrderCancelRequested|Delayed/, "warn"],
  [/^OrderCancel|^OrderItemsCancelled/, "bad"],
  [/^[A-Z]+ /, "plain"],
];

function kind(name) {
  return KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
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
    case "lost":
      return [[at, queues[move.service]]];
    case "called":
      return [[at, places.dana, at]];
    default:
      return [];
  }
}

function launch(points, begin, took, move, colour, ...touches) {
  if (moving.size >= MAX) {
    drawn.undrawn += move.count;
    return;
  }
  const dot = spare.pop() ?? draw("g");
  if (!dot.firstChild) dot.append(draw("circle", { r: 7 }), draw("text"));
  const own = drawn.followed && move.story === drawn.followed;
  dot.setAttribute("class", `dot ${colour}${move.count > 1 ? " many" : ""}${own ? " own" : ""}`);
  dot.setAttribute("visibility", "hidden");
  dot.firstChild.setAttribute("r", move.count > 1 ? 11 : own ? 9 : 7);
  dot.lastChild.textContent = move.count > 1 ? `${move.name} ×${move.count}` : move.name;
  dot.lastChild.setAttribute("visibility", "hidden");
  dots.append(dot);
  moving.add({ dot, points, begin, took, story: move.story, touches: [move.service, ...touches] });
  drawSoon();
}

function step() {
  asked = 0;
  if (stopped) return;
  const now = time();
  const labelled = [];
  let under = false; // whether one is under way, and does not only stand where it arrived
  for (const one of moving) {
    const part = Math.min((now - one.begin) / one.took, 1);
    if (part < 0) {
      under = true;
      continue;
    }
    if (part < 1) under = true;
    else if (!drawn.paused) {
      moving.delete(one);
      free(one.dot);
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
    if (wanted(one, drawn.followed)) labelled.push({ dot: one.dot, x, y });
    else one.dot.lastChild.setAttribute("visibility", "hidden");
  }
  if (labelled.length) place(labelled);
  if (under) drawSoon();
}

function ease(part) {
  return part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) * (1 - part);
}

// When a step can begin: after what it follows from, and a little behind the last dot on the same way.
function turn(way, ...after) {
  const now = time();
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
  if (["failed", "parked", "fired", "lost"].includes(move.stage)) blink(move.service);
  const lines = path(move);
  if (!lines.length) return;
  const after = [`${move.id}@${move.service}`, `${move.cause}@${move.service}`, move.id ?? "", move.story ? `${move.story}@${move.service}` : ""];
  const begin = turn(`${move.stage} ${move.service}`, ...after);
  if (begin === null) return void (drawn.undrawn += move.count);
  const took = STEP[move.stage] ?? STEP.handled;
  const far = { requested: "people", called: "dana" }[move.stage];
  for (const points of lines) launch(points, begin, took, move, move.status >= 400 ? "bad" : colour, far);
  if (move.stage === "requested" && move.story) note(`${move.story}@${move.service}`, begin + took);
  if (move.id) note(`${move.id}@${move.service}`, begin + took);
}

function send(move, colour) {
  const { places, outboxes, queues } = map;
  if (!outboxes[move.service]) return;
  const begin = turn(`out ${move.service}`, `${move.id}@${move.service}`);
  if (begin === null) return void (drawn.undrawn += move.count);
  launch([outboxes[move.service], places.exchange], begin, STEP.out, move, colour, "exchange");
  for (const consumer of move.to) {
    if (queues[consumer]) launch([places.exchange, queues[consumer]], begin + STEP.out, STEP.in, move, colour, "exchange", consumer);
    if (move.id) note(`${move.id}@${consumer}`, begin + STEP.out + STEP.in);
  }
}

// The flow page: frames arrive a few times a second and update picture, log and traces.
import { drawn, show } from "./dots.js";
import { add } from "./log.js";
import { paint } from "./picture.js";
import "./faults.js";
import "./nodes.js";
import { follow } from "./state.js";
import "./stepping.js";
import "./switches.js";
import { update } from "./traces.js";
import { root, say } from "./words.js";

const AGAIN = 2_000; // milliseconds
const rate = root.querySelector("[data-rate]");
const counted = root.querySelector("[data-counted]");
const speed = root.querySelector("[data-speed]");
const offline = document.querySelector("[data-offline]");
let totals = JSON.parse(root.dataset.totals);
let frame = 0;
let missed = 0;
let recent = [];

paint();
if (matchMedia("(prefers-reduced-motion: reduce)").matches) speed.textContent = speed.dataset.still;

listen();

function listen() {
  const source = new EventSource("/web/flow/live");
  source.addEventListener("open", () => {
    offline.hidden = true;
    frame = 0;
  });
  source.addEventListener("error", () => {
    offline.hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN); // after a refusal EventSource does not try again
  });
  source.addEventListener("totals", (event) => (totals = JSON.parse(event.data)));
  source.addEventListener("frame", onFrame);
}

function onFrame(event) {
  const data = JSON.parse(event.data);
  if (frame && data.frame > frame + 1) missed += data.frame - frame - 1;
  frame = data.frame;
  totals = data.totals;
  recent.push([performance.now(), totals.records]);
  add(data.moves, data.clock);
  update(data.stories, data.more_stories);
  if (document.hidden || drawn.paused) drawn.undrawn += data.moves.reduce((sum, move) => sum + move.count, 0);
  else data.moves.forEach(show);
}

setInterval(() => {
  const now = performance.now();
  recent = recent.filter(([at]) => now - at < 2000);
  const first = recent[0];
  const speed = first ? Math.round((totals.records - first[1]) / Math.max((now - first[0]) / 1000, 1)) : 0;
  rate.textContent = say(speed > 100 ? "busy" : "calm", { rate: speed });
  const sums = { ...totals, undrawn: totals.undrawn + drawn.undrawn };
  counted.textContent = ` · ${say("counted", sums)}${missed ? ` · ${say("missed", { count: missed })}` : ""}`;
}, 1000);

follow();

// The same as the picture, in words: the newest line on top, by the time that the pages show.
import { breakable, element, root, say } from "./words.js";

const MAX = 80;
const list = root.querySelector("[data-log]");
const hint = list.firstElementChild; // while nothing is there
const hold = root.querySelector("[data-hold]");
let waiting = [];

hold.addEventListener("click", () => hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") !== "true")));

const WIB = 7 * 3600; // seconds

// `clock`: seconds by which the pages' time is ahead of that of the moves.
export function add(moves, clock) {
  waiting.push(...moves.map((move) => ({ ...move, at: move.at + clock })));
  waiting = waiting.sort(byTime).slice(-MAX);
}

function byTime(one, other) {
  return one.at - other.at;
}

export function clockTime(at) {
  const time = new Date((at + WIB) * 1000).toISOString().slice(11, 23);
  return document.documentElement.lang === "id" ? time.replace(/:/g, ".") : time;
}

// What happened, after the name of the event.
export function what(move) {
  const to = move.to?.length ? ` → ${move.to.join(", ")}` : "";
  return `${say(`stage.${move.stage}`)}${move.status ? ` ${move.status}` : ""}${move.answer ? `: ${move.answer}` : ""}${to}`;
}

function line(move) {
  const count = move.count > 1 ? ` ×${move.count}` : "";
  const bad = ["failed", "parked"].includes(move.stage) ? "bad-text" : "muted";
  return element(
    "li",
    { "data-at": move.at },
    element("time", { class: "muted number", datetime: new Date(move.at * 1000).toISOString() }, clockTime(move.at)),
    element("span", { class: "where" }, move.service),
    element("span", {}, element("b", {}, ...breakable(`${move.name}${count}`)), " ", element("span", { class: bad }, what(move))),
  );
}

// A late move is inserted by its time.
function insert(move) {
  let below = list.firstElementChild;
  while (below && Number(below.dataset.at) > move.at) below = below.nextElementSibling;
  list.insertBefore(line(move), below);
}

// Twice a second, so that it can be read, and drawing it costs little.
setInterval(() => {
  if (!waiting.length || hold.getAttribute("aria-pressed") === "true" || document.hidden) return;
  hint.remove();
  waiting.forEach(insert);
  waiting = [];
  while (list.children.length > MAX) list.lastChild.remove();
}, 500);

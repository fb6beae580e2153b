// The same as the picture, in words: the newest line on top.
import { element, root, say } from "./words.js";

const MOST = 80;
const list = root.querySelector("[data-log]");
const hold = root.querySelector("[data-hold]");
let waiting = [];

hold.addEventListener("click", () => hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") !== "true")));

export function add(moves) {
  waiting.push(...moves);
  waiting = waiting.slice(-MOST);
}

function line(move) {
  const at = new Date(move.at * 1000);
  const time = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const count = move.count > 1 ? ` ×${move.count}` : "";
  const to = move.to?.length ? ` → ${move.to.join(", ")}` : "";
  const what = `${say(`stage.${move.stage}`)}${move.status ? ` ${move.status}` : ""}${move.answer ? `: ${move.answer}` : ""}${to}`;
  const bad = ["failed", "parked"].includes(move.stage) ? "bad-text" : "muted";
  return element(
    "li",
    {},
    element("time", { class: "muted number", datetime: at.toISOString() }, time),
    element("span", { class: "where" }, move.service),
    element("span", {}, element("b", {}, `${move.name}${count}`), " ", element("span", { class: bad }, what)),
  );
}

// Twice a second, so that it can be read, and drawing it costs little.
setInterval(() => {
  if (!waiting.length || hold.getAttribute("aria-pressed") === "true" || document.hidden) return;
  list.prepend(...waiting.reverse().map(line));
  waiting = [];
  while (list.children.length > MOST) list.lastChild.remove();
}, 500);

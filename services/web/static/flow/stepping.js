// Pause stops the picture; a step draws the next move of the followed journey, and marks its line in the waterfall.
import { drawn, pause, resume, showAlone } from "./dots.js";
import { clockTime, what } from "./log.js";
import { clockAhead } from "./state.js";
import { root, say, when } from "./words.js";

const caption = root.querySelector("[data-caption]");
const panel = root.querySelector("[data-trace]");
const hold = root.querySelector("[data-pause]");
let moves = [];
let next = 0;
let walked = "";
let here = "";

function stop() {
  hold.setAttribute("aria-pressed", "true");
  pause();
}

function go() {
  hold.setAttribute("aria-pressed", "false");
  resume();
  [moves, next, here] = [[], 0, ""];
  caption.textContent = "";
  mark();
}

function mark() {
  for (const line of panel.querySelectorAll("[data-mark]")) {
    if (here && line.dataset.mark === here) line.setAttribute("aria-current", "step");
    else line.removeAttribute("aria-current");
  }
}

hold.addEventListener("click", () => (drawn.paused ? go() : stop()));
when(root.querySelector("[data-step]"), async () => {
  if (!drawn.followed) return;
  stop();
  if (walked !== drawn.followed || next >= moves.length) {
    const followed = drawn.followed;
    const answer = await fetch(`/web/flow/stories/${encodeURIComponent(followed)}/moves`);
    [walked, moves, next] = [followed, answer.ok ? await answer.json() : [], 0];
  }
  const move = moves[next++];
  if (!move) return;
  here = `${move.id ?? move.name}@${move.service}`;
  caption.textContent = `${next}/${moves.length} · ${clockTime(move.at + clockAhead())} · ${move.service} · ${move.name}: ${what(move)}`;
  mark();
  panel.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  showAlone(move);
});
new MutationObserver(mark).observe(panel, { childList: true });

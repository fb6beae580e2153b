// The last traces, the newest first; the chosen one is shown as a waterfall and updated while it goes on.
import { element, root, say, short } from "./words.js";

const MAX = 40;
const list = root.querySelector("[data-trace-list]");
const more = root.querySelector("[data-more-traces]");
const panel = root.querySelector("[data-trace]");
const known = new Map(); // newest last
let chosen = "";
let changed = false;
let stale = false;

const TONES = { refunded: "good", rejected: "bad", delayed: "unpaid", done: "good", parked: "bad", under_way: "unpaid" };

function chip(group, word) {
  return element("span", { class: `chip ${TONES[word] ?? ""}` }, say(`${group}.${word}`));
}

function item(trace) {
  const name = trace.request || trace.types[0] || "";
  const took = trace.took < 10 ? `${Math.round(trace.took * 1000)} ms` : `${Math.round(trace.took)} s`;
  const link = element(
    "a",
    { href: `/web/flow/stories/${encodeURIComponent(trace.story)}`, "data-trace-id": trace.story },
    element("span", { class: "between" }, element("b", {}, say("trace", { name: short(trace.story) })), element("span", { class: "number muted small-text" }, took)),
    element("span", { class: "small-text muted types" }, trace.types.join(" → ") || name),
  );
  const chips = element("span", { class: "row" });
  if (trace.outcome) chips.append(chip("outcome", trace.outcome));
  if (trace.state !== "done") chips.append(chip("state", trace.state));
  if (chips.children.length) link.append(chips);
  if (trace.story === chosen) link.setAttribute("aria-current", "true");
  return element("li", {}, link);
}

export function update(traces, others) {
  for (const trace of traces) {
    known.delete(trace.story);
    known.set(trace.story, trace);
    if (!chosen && trace.outcome) chosen = trace.story; // the first to show
    if (trace.story === chosen) stale = true;
  }
  while (known.size > MAX) known.delete(known.keys().next().value);
  if (others) more.textContent = say("traces.more", { count: others });
  changed ||= traces.length > 0;
}

async function open(id, focus) {
  chosen = id;
  const answer = await fetch(`/web/flow/stories/${encodeURIComponent(id)}?part=true`).catch(() => null);
  if (chosen !== id) return;
  if (!answer?.ok) {
    stale = answer === null; // no answer: asked again in the next round
    return;
  }
  panel.innerHTML = await answer.text(); // made by our own template, which escapes its values
  changed = true;
  if (focus) {
    panel.scrollIntoView({ block: "nearest" });
    panel.focus({ preventScroll: true });
  }
}

list.addEventListener("click", (event) => {
  const link = event.target.closest("[data-trace-id]");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  open(link.dataset.traceId, true);
});

// The list is drawn anew at most twice a second, and not while it has the focus or the pointer.
setInterval(() => {
  if (document.hidden) return;
  if (stale && chosen) {
    stale = false;
    open(chosen, false);
  }
  if (!changed || list.contains(document.activeElement) || list.matches(":hover")) return;
  changed = false;
  list.replaceChildren(...[...known.values()].reverse().map(item));
}, 500);

update(JSON.parse(root.dataset.traces).reverse(), 0);
if (changed) list.replaceChildren(...[...known.values()].reverse().map(item));

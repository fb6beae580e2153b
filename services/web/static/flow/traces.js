// The last traces, the newest first. One is followed: shown as a waterfall, updated while it goes on, and named in the
// picture.
import { drawn } from "./dots.js";
import { element, root, say, short } from "./words.js";

const MAX = 40;
const list = root.querySelector("[data-trace-list]");
const more = root.querySelector("[data-more-traces]");
const panel = root.querySelector("[data-trace]");
const known = new Map(); // newest last
let awaited = root.dataset.follow; // the id of a trace, or of an order whose cancellation is to be followed
let changed = false;
let stale = false;

const TONES = { refunded: "good", rejected: "bad", delayed: "unpaid", done: "good", parked: "bad", under_way: "unpaid" };

function chip(group, word) {
  return element("span", { class: `chip ${TONES[word] ?? ""}` }, say(`${group}.${word}`));
}

function name(trace) {
  if (!trace.order) return [say("trace", { name: short(trace.story) })];
  const title = trace.title ? [" · ", element("bdi", {}, trace.title)] : [];
  return [say("order", { name: short(trace.order) }), ...title, trace.channel ? ` · ${say(`channel.${trace.channel}`)}` : ""];
}

const seconds = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });

function item(trace) {
  const took = trace.took < 1 ? `${Math.round(trace.took * 1000)} ms` : say("due.s", { count: seconds.format(trace.took) });
  const link = element(
    "a",
    { href: `/web/flow?trace=${encodeURIComponent(trace.story)}`, "data-trace-id": trace.story },
    element("span", { class: "between" }, element("b", {}, ...name(trace)), element("span", { class: "number muted small-text" }, took)),
    element("span", { class: "small-text muted types" }, trace.types.join(" → ") || trace.request),
  );
  const chips = element("span", { class: "row" });
  if (trace.outcome) chips.append(chip("outcome", trace.outcome));
  if (trace.state !== "done") chips.append(chip("state", trace.state));
  if (chips.children.length) link.append(chips);
  if (trace.story === drawn.followed) link.setAttribute("aria-current", "true");
  return element("li", {}, link);
}

const isAwaited = (trace) => awaited && (trace.story === awaited || (trace.order === awaited && trace.outcome));

export function update(traces, others) {
  for (const trace of traces) {
    known.delete(trace.story);
    known.set(trace.story, trace);
    if (isAwaited(trace)) choose(trace.story);
    else if (!drawn.followed && !awaited && trace.outcome) drawn.followed = trace.story; // the first to show
    if (trace.story === drawn.followed) stale = true;
  }
  while (known.size > MAX) known.delete(known.keys().next().value);
  if (others) more.textContent = say("traces.more", { count: others });
  changed ||= traces.length > 0;
}

// Follows the cancellation of this order as soon as it is known.
export function awaitOrder(order) {
  awaited = order;
  const trace = [...known.values()].findLast(isAwaited);
  if (trace) choose(trace.story);
}

function choose(id) {
  [awaited, drawn.followed, stale, changed] = ["", id, true, true];
  history.replaceState(null, "", `/web/flow?trace=${encodeURIComponent(id)}`);
}

async function open(id, focus) {
  const answer = await fetch(`/web/flow/stories/${encodeURIComponent(id)}?part=true`).catch(() => null);
  if ((awaited || drawn.followed) !== id) return;
  if (!answer?.ok) {
    stale = answer === null; // no answer: asked again in the next round
    return;
  }
  panel.innerHTML = await answer.text(); // made by our own template, which escapes its values
  if (awaited === id) [awaited, drawn.followed] = ["", panel.querySelector("[data-story]").dataset.story];
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
  choose(link.dataset.traceId);
  stale = false;
  open(link.dataset.traceId, true);
});

// The list is drawn anew at most twice a second, and not while it has the focus or the pointer.
setInterval(() => {
  if (document.hidden) return;
  if (stale && drawn.followed && !panel.querySelector(":focus")) {
    stale = false;
    open(drawn.followed, false);
  }
  if (!changed || list.contains(document.activeElement) || list.matches(":hover")) return;
  changed = false;
  list.replaceChildren(...[...known.values()].reverse().map(item));
}, 500);

update(JSON.parse(root.dataset.traces).reverse(), 0);
if (changed) list.replaceChildren(...[...known.values()].reverse().map(item));
if (awaited) open(awaited, false); // one that is older than the list

// The last stories, the newest first; a chosen one is shown as a waterfall, and followed while it goes on.
import { element, root, say, short } from "./words.js";

const MOST = 40;
const list = root.querySelector("[data-story-list]");
const more = root.querySelector("[data-more-stories]");
const panel = root.querySelector("[data-story]");
const known = new Map(); // newest last
let chosen = "";
let changed = false;
let stale = false;

const TONES = { refunded: "good", rejected: "bad", delayed: "unpaid", done: "good", parked: "bad", under_way: "unpaid" };

function chip(group, word) {
  return element("span", { class: `chip ${TONES[word] ?? ""}` }, say(`${group}.${word}`));
}

function item(story) {
  const name = story.request || story.types[0] || "";
  const took = story.took < 10 ? `${Math.round(story.took * 1000)} ms` : `${Math.round(story.took)} s`;
  const link = element(
    "a",
    { href: `/web/flow/stories/${encodeURIComponent(story.story)}`, "data-story-id": story.story },
    element("span", { class: "between" }, element("b", {}, say("story", { name: short(story.story) })), element("span", { class: "number muted small-text" }, took)),
    element("span", { class: "small-text muted types" }, story.types.join(" → ") || name),
  );
  const chips = element("span", { class: "row" });
  if (story.outcome) chips.append(chip("outcome", story.outcome));
  if (story.state !== "done") chips.append(chip("state", story.state));
  if (chips.children.length) link.append(chips);
  if (story.story === chosen) link.setAttribute("aria-current", "true");
  return element("li", {}, link);
}

export function hear(stories, others) {
  for (const story of stories) {
    known.delete(story.story);
    known.set(story.story, story);
    if (!chosen && story.outcome) chosen = story.story; // something to begin with
    if (story.story === chosen) stale = true;
  }
  while (known.size > MOST) known.delete(known.keys().next().value);
  if (others) more.textContent = say("stories.more", { count: others });
  changed ||= stories.length > 0;
}

async function open(story, focus) {
  chosen = story;
  const answer = await fetch(`/web/flow/stories/${encodeURIComponent(story)}?part=true`).catch(() => null);
  if (chosen !== story) return;
  if (!answer?.ok) {
    stale = answer === null; // nobody is there: asked again in the next round
    return;
  }
  panel.innerHTML = await answer.text(); // made by our own template, which escapes what it is told
  changed = true;
  if (focus) {
    panel.scrollIntoView({ block: "nearest" });
    panel.focus({ preventScroll: true });
  }
}

list.addEventListener("click", (event) => {
  const link = event.target.closest("[data-story-id]");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  open(link.dataset.storyId, true);
});

// The list is drawn anew twice a second at most, and not under somebody's keyboard or pointer.
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

hear(JSON.parse(root.dataset.stories).reverse(), 0);
if (changed) list.replaceChildren(...[...known.values()].reverse().map(item));

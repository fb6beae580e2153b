// The parked messages, each with a button to replay it.
import { SERVICES } from "./layout.js";
import { announce, ask, element, root, say, when } from "./words.js";

export function showParked(states) {
  const list = root.querySelector("[data-parked]");
  const aside = SERVICES.flatMap((name) => (states[name]?.parked ?? []).map((one) => ({ ...one, service: name })));
  const away = SERVICES.filter((name) => !states[name]).join(", ");
  const marks = `${away} ${aside.map((one) => `${one.parked_id} ${one.state} ${one.error}`).join()}`;
  if (list.dataset.shown === marks) return; // or else a focused button would lose the focus each second
  list.dataset.shown = marks;
  const total = SERVICES.reduce((sum, name) => sum + (states[name]?.parked_in_all ?? 0), 0);
  const items = aside.slice(0, 30).map(parked);
  if (away) items.push(element("li", { class: "muted" }, say("parked.unknown", { services: away })));
  else if (!aside.length) items.push(element("li", { class: "muted" }, say("parked.none")));
  if (total > items.length && aside.length) items.push(element("li", { class: "muted" }, say("parked.more", { count: total - items.length })));
  list.replaceChildren(...items);
}

function parked(one) {
  const button = element("button", { type: "button", class: "small", "aria-label": say("of", { what: say("replay"), service: `${one.service}, ${one.routing_key}` }) }, say("replay"));
  when(button, async () => {
    await ask("POST", `/${one.service}/demonstration/parked/${one.parked_id}/replay`);
    announce(say("replay.asked"));
  });
  const head = element("span", {}, element("b", {}, one.routing_key), " → ", one.service);
  return element("li", { class: "between" }, element("div", {}, head, element("p", { class: "small-text bad-text" }, one.error)), button);
}

// What can be pressed: the switches on the nodes, the clock, and the beginning of journeys.
import { SERVICES } from "./layout.js";
import { heal, lookAgain, turn } from "./state.js";
import { awaitOrder } from "./traces.js";
import { announce, ask, root, say, when } from "./words.js";

const find = (selector) => root.querySelector(selector);
const all = (selector) => [...root.querySelectorAll(selector)];
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
const of = (button) => button.closest("[data-service]").dataset.service;
const setDana = (weather) => ask("PUT", "/refunds/demonstration/dana", { weather });

for (const button of all("[data-switch]")) {
  when(button, async () => {
    await turn(of(button), { [button.dataset.switch]: pressed(button) });
    await lookAgain();
  });
}
for (const button of all("[data-poison]")) {
  when(button, async () => {
    const sent = await ask("POST", `/${of(button)}/demonstration/poison`);
    announce(say("poison.sent", { event: sent.type, service: of(button) }));
  });
}
when(find("[data-broker]"), async (button) => {
  const connected = pressed(button);
  await Promise.all(SERVICES.map((name) => turn(name, { connected })));
  await lookAgain();
});
for (const button of all("[data-dana]")) {
  when(button, async () => {
    await setDana(button.dataset.dana);
    await lookAgain();
  });
}
when(find("[data-heal]"), async () => {
  await Promise.all([...SERVICES.map(heal), setDana("well")]);
  announce(say("fault.healed"));
  await lookAgain();
});
for (const button of all("[data-advance]")) {
  when(button, async () => {
    const hours = Number(button.dataset.advance);
    await Promise.all([...SERVICES, "web"].map((name) => ask("POST", `/${name}/demonstration/clock`, { hours })));
    await lookAgain();
  });
}
for (const button of all("[data-start]")) {
  when(button, async () => {
    const count = Number(button.dataset.start);
    announce(say("started", { count }));
    const { orders } = await ask("POST", `/web/flow/stories?count=${count}&dana=${button.dataset.through === "dana"}`);
    awaitOrder(orders[0]);
  });
}

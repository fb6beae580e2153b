// Conversations: fetches new messages, rendered by the server, and appends each once, in order.
import { inTime, inTurn, root, word } from "./page.js";
import { keep, take } from "./drafts.js";
import { report } from "./offline.js";
import { refresh } from "./regions.js";
import { stayConnected } from "./live.js";

const AGAIN = 2_000; // milliseconds
const talks = new Map();
for (const log of document.querySelectorAll("[data-log]")) begin(log);
document.addEventListener("added", (event) => event.target.querySelectorAll("[data-log]").forEach(begin));
for (const form of document.querySelectorAll("[data-composer]")) compose(form);
document.addEventListener("added", (event) => event.target.querySelectorAll("[data-composer]").forEach(compose));

function begin(log) {
  const list = log.querySelector("ol");
  const talk = { log, catchUp: inTurn(() => catchUp(log, list)), known: () => Number(list.lastElementChild?.dataset.seq ?? 0) };
  talks.set(log.dataset.id, talk);
  log.scrollTop = log.scrollHeight;
  markRead(log, talk.known());
}

async function catchUp(log, list) {
  for (;;) {
    const known = Number(list.lastElementChild?.dataset.seq ?? 0);
    let answer;
    try {
      answer = await fetch(`${log.dataset.news}?after=${known}`, { headers: { Accept: "text/html" }, signal: inTime() });
      if (!answer.ok) throw new Error(String(answer.status));
    } catch {
      const talk = talks.get(log.dataset.id);
      clearTimeout(talk.again);
      if (log.isConnected) talk.again = setTimeout(talk.catchUp, AGAIN);
      return report(log.dataset.id, false);
    }
    if (answer.redirected) return location.reload(); // the session is over: sign in first
    report(log.dataset.id, true);
    const fresh = new DOMParser().parseFromString(`<ol>${await answer.text()}</ol>`, "text/html").querySelectorAll("li[data-seq], li.day");
    if (fresh.length === 0) return;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const mine = [...fresh].some((item) => item.classList.contains("mine"));
    for (const item of fresh) {
      const isNews = item.matches(".day") ? item.dataset.day !== lastDay(list) : Number(item.dataset.seq) > known;
      if (isNews) list.append(document.importNode(item, true));
    }
    if (atEnd || mine) log.scrollTop = log.scrollHeight;
    markRead(log, Number(list.lastElementChild.dataset.seq));
  }
}

function lastDay(list) {
  return [...list.querySelectorAll(".day")].at(-1)?.dataset.day;
}

function markRead(log, seq) {
  if (!log.hasAttribute("data-reads") || document.hidden || seq === 0) return;
  fetch(`${root}/api/chat/threads/${log.dataset.id}/read`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ seq }),
  }).catch(() => {});
}

document.addEventListener("visibilitychange", () => {
  for (const talk of talks.values()) markRead(talk.log, talk.known());
});

// A message keeps its key until it has arrived, so that a retry cannot send it twice; another text is another message.
function compose(form) {
  const text = form.elements.text;
  const state = form.querySelector(".state");
  let tried = "";
  let ready = ""; // a quick reply, which leaves the draft in the box as it is
  const newKey = () => (form.elements.key.value = crypto.randomUUID?.() ?? String(Math.random()).slice(2));
  const send = async () => {
    const quick = ready;
    const said = quick || text.value;
    ready = "";
    if (!said.trim()) return;
    if (tried && tried !== said) newKey();
    tried = said;
    state.textContent = word("sending");
    let why = word("failed");
    try {
      const body = new URLSearchParams(new FormData(form));
      body.set("text", said);
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" }, signal: inTime() });
      if (answer.status === 409) refresh(); // it may be over
      if (answer.status === 401) return location.reload(); // the session is over: sign in first
      if (answer.headers.get("Content-Type")?.startsWith("text/plain")) why = await answer.text();
      if (!answer.ok) throw new Error(why);
    } catch {
      state.textContent = why;
      return;
    }
    if (!quick && text.value.startsWith(said)) text.value = text.value.slice(said.length); // the next one may be begun
    grow();
    tried = "";
    newKey();
    state.textContent = "";
    const log = form.closest(".panel, main")?.querySelector("[data-log]"); // none if it was the last word of a case
    await talks.get(log?.dataset.id)?.catchUp();
  };
  const turn = inTurn(send);
  form.say = (words) => {
    ready = words;
    turn();
  };
  const grow = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    turn();
  });
  addEventListener("pagehide", () => form.isConnected && keep(form, text.value && { said: text.value, key: form.elements.key.value, tried }));
  const draft = take(form);
  if (draft && [draft.said, ""].includes(text.value)) {
    [text.value, form.elements.key.value, tried] = [draft.said, draft.key, draft.tried];
    grow();
  }
  text.addEventListener("input", grow);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    turn();
  });
}

document.addEventListener("click", (event) => {
  const quick = event.target.closest("[data-quick]");
  if (quick) document.querySelector("[data-composer]").say(quick.dataset.quick);
});

const service = document.querySelector("[data-log]")?.dataset.log ?? "cs";
stayConnected(service, {
  follow: () => [...talks].filter(([, talk]) => talk.log.isConnected).map(([id]) => id),
  onFrame(frame) {
    const talk = talks.get(frame.conversation ?? frame.thread_id ?? frame.case_id);
    if (frame.type === "hint" && frame.seq <= talk?.known()) return;
    if (frame.type === "message" || frame.type === "hint") talk?.catchUp();
    if (frame.message?.kind !== "text" || document.body.matches(".desk")) refresh();
  },
  onOpen() {
    refresh();
    for (const talk of talks.values()) talk.catchUp();
  },
});

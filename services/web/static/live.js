// The live connection to one service: opened with a one-use ticket, and opened again whenever it is lost.
import { pause, root } from "./page.js";
import { report } from "./offline.js";

const SHORTEST = 300;
const LONGEST = 8000;
const RENEW = 4000; // time for a new ticket
const OVER = 4001; // the session has ended: the ticket is refused, and the page asks to sign in

// `hear` is called with every frame, `after` says what is known of each conversation (id: seq), and `back` is called
// whenever the connection is there: whatever happened meanwhile is to be looked up then.
export async function stayConnected(service, { hear, after, back }) {
  let wait = SHORTEST;
  for (;;) {
    const opened = performance.now();
    const code = await connectOnce(service, hear, after, back).catch(() => null);
    if (code === "signed-out") return location.reload();
    const expected = code === RENEW || code === OVER;
    if (!expected) report(service, false);
    wait = performance.now() - opened > 10000 ? SHORTEST : Math.min(wait * 1.7, LONGEST);
    if (!expected) await pause(wait * (0.5 + Math.random()));
  }
}

async function connectOnce(service, hear, after, back) {
  const answer = await fetch(`${root}/api/${service}/tickets`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  });
  if (answer.status === 401) return "signed-out";
  if (!answer.ok) throw new Error(String(answer.status));
  const { ticket } = await answer.json();
  const socket = new WebSocket(`/${service}/live?ticket=${encodeURIComponent(ticket)}`);
  return await new Promise((resolve) => {
    socket.addEventListener("open", () => {
      socket.send(JSON.stringify({ type: "resume", after: after() }));
      report(service, true);
      back();
    });
    socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => resolve(event.code));
  });
}

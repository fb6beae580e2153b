// The live connection to one service: opened with a one-use ticket, and again whenever it is lost.
import { pause, root } from "./page.js";
import { report } from "./offline.js";

const SHORTEST = 300; // milliseconds
const LONGEST = 8000;
const RENEW = 4000; // the access token has expired: get a new ticket
const OVER = 4001; // the session has ended: the ticket is refused, and the page asks to sign in

// `onFrame` is called with every frame, and `onOpen` whenever the connection has been opened: the page then fetches what
// it has missed. `follow` returns the ids of the conversations on the page.
export async function stayConnected(service, { onFrame, onOpen, follow = () => [] }) {
  let wait = SHORTEST;
  for (;;) {
    const opened = performance.now();
    const code = await connectOnce(service, onFrame, onOpen, follow).catch(() => null);
    if (code === "signed-out") return location.reload();
    const expected = code === RENEW || code === OVER;
    if (!expected) report(service, false);
    wait = performance.now() - opened > 10000 ? SHORTEST : Math.min(wait * 1.7, LONGEST);
    if (!expected) await pause(wait * (0.5 + Math.random()));
  }
}

async function connectOnce(service, onFrame, onOpen, follow) {
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
      const conversations = follow();
      if (conversations.length) socket.send(JSON.stringify({ type: "follow", conversations }));
      report(service, true);
      onOpen();
    });
    socket.addEventListener("message", (event) => onFrame(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => resolve(event.code));
  });
}

// The live connection to one service: opened with a one-use ticket, and again whenever it is lost.
import { inTime, pause, root } from "./page.js";
import { report } from "./offline.js";

const SHORTEST = 300; // milliseconds
const LONGEST = 8000;
const BEAT = 20_000;
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
    signal: inTime(),
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
    // A path that is lost silently answers no ping.
    let asked = false;
    const beat = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN || asked) {
        clearInterval(beat);
        socket.close();
        return resolve(null);
      }
      asked = true;
      socket.send('{"type": "ping"}');
    }, BEAT);
    socket.addEventListener("message", (event) => {
      asked = false;
      const frame = JSON.parse(event.data);
      if (frame.type !== "pong") onFrame(frame);
    });
    socket.addEventListener("close", (event) => {
      clearInterval(beat);
      resolve(event.code);
    });
  });
}

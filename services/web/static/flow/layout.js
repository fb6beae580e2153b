// Where things stand in the picture, on a wide screen and on a phone.
const WIDE = {
  box: [1000, 520],
  node: [158, 88],
  places: {
    people: [92, 260],
    accounts: [300, 66],
    orders: [300, 260],
    chat: [300, 454],
    exchange: [560, 260],
    notifications: [560, 66],
    refunds: [815, 140],
    cs: [815, 400],
    dana: [930, 280],
  },
};
const NARROW = {
  box: [400, 600],
  node: [118, 84],
  places: {
    people: [200, 40],
    accounts: [66, 160],
    orders: [200, 160],
    refunds: [334, 160],
    exchange: [200, 330],
    chat: [66, 510],
    notifications: [200, 510],
    cs: [334, 510],
    dana: [345, 40],
  },
};

const BESIDE = 15; // from a node's edge to its outbox and queue, and between these and the middle
export const SERVICES = ["accounts", "orders", "refunds", "chat", "cs", "notifications"];

export function layout(narrow) {
  const { box, node, places } = narrow ? NARROW : WIDE;
  const outboxes = {};
  const queues = {};
  for (const service of SERVICES) {
    const [x, y] = places[service];
    const [toX, toY] = [places.exchange[0] - x, places.exchange[1] - y];
    const length = Math.hypot(toX, toY);
    const [u, v] = [toX / length, toY / length];
    // Just outside the node's edge, on the way to the exchange; side by side.
    const out = Math.min(node[0] / 2 / Math.abs(u || 1e-9), node[1] / 2 / Math.abs(v || 1e-9)) + BESIDE;
    outboxes[service] = [x + u * out - v * BESIDE, y + v * out + u * BESIDE];
    queues[service] = [x + u * out + v * BESIDE, y + v * out - u * BESIDE];
  }
  return { box, node, places, outboxes, queues };
}

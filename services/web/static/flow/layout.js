// Where things stand in the picture, on a wide screen and on a phone. Sizes are width and height.
const WIDE = {
  box: [1100, 560],
  node: [172, 104],
  sizes: { people: [136, 96], clock: [136, 56], dana: [104, 56], exchange: [124, 92] },
  places: {
    people: [72, 280],
    clock: [72, 62],
    accounts: [272, 62],
    orders: [272, 280],
    chat: [272, 498],
    exchange: [630, 280],
    notifications: [630, 62],
    refunds: [922, 130],
    cs: [922, 450],
    dana: [1040, 290],
  },
};
const NARROW = {
  box: [400, 370],
  node: [124, 68],
  sizes: { people: [208, 36], clock: [92, 36], dana: [84, 36], exchange: [104, 60] },
  places: {
    people: [106, 20],
    clock: [260, 20],
    dana: [354, 20],
    accounts: [66, 102],
    orders: [200, 102],
    refunds: [334, 102],
    exchange: [200, 214],
    chat: [66, 332],
    notifications: [200, 332],
    cs: [334, 332],
  },
};

const BESIDE = 15; // from a node's edge to its outbox and queue, and between these and the middle
export const SERVICES = ["accounts", "orders", "refunds", "chat", "cs", "notifications"];

// `outboxes`, `queues`: where they stand, and the direction in which what waits there is piled up.
export function layout(narrow) {
  const { box, node, sizes, places } = narrow ? NARROW : WIDE;
  const outboxes = {};
  const queues = {};
  for (const service of SERVICES) {
    const [x, y] = places[service];
    const [toX, toY] = [places.exchange[0] - x, places.exchange[1] - y];
    const length = Math.hypot(toX, toY);
    const [u, v] = [toX / length, toY / length];
    // Just outside the node's edge, on the way to the exchange; side by side.
    const out = Math.min(node[0] / 2 / Math.abs(u || 1e-9), node[1] / 2 / Math.abs(v || 1e-9)) + BESIDE;
    const beside = (side) => [x + u * out - v * side * BESIDE, y + v * out + u * side * BESIDE, -v * side, u * side];
    outboxes[service] = beside(1);
    queues[service] = beside(-1);
  }
  return { box, node, places, outboxes, queues, size: (name) => sizes[name] ?? node };
}

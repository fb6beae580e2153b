// What the server wrote into the page for scripts: the path of its seat, and words.
export const root = document.documentElement.dataset.seat;
const words = JSON.parse(document.body.dataset.words);

export function word(key) {
  return words[key];
}

// Runs `work` one at a time: calls while it runs make it run once more.
export function inTurn(work) {
  let running = null;
  let again = false;
  return function start() {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await work();
      } while (again);
    })().finally(() => (running = null));
    return running;
  };
}

// For `fetch`: a path that is lost silently would keep it waiting.
export function inTime() {
  return AbortSignal.timeout(10_000);
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// A span of seconds in words: the two largest units, as the server writes it.
export function span(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const counts = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60, left % 60];
  const first = Math.max(0, counts.findIndex((count) => count > 0));
  const begin = counts.some((count) => count > 0) ? first : 3;
  const end = begin < 3 ? Math.min(begin + 2, 3) : 4;
  const shown = [];
  for (let unit = begin; unit < end; unit++) if (counts[unit]) shown.push(unit);
  return (shown.length ? shown : [begin]).map((unit) => counted(counts[unit], unit)).join(" ");
}

// The same as a running clock.
export function countdown(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number % 60).padStart(2, "0");
  return `${Math.floor(left / 3600)}:${two(Math.floor(left / 60))}:${two(left)}`;
}

function counted(count, unit) {
  const [one, many] = word(["day", "hour", "minute", "second"][unit]).split("|");
  return `${count} ${count === 1 ? one : (many ?? one)}`;
}

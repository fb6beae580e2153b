// The page's words, in its language, and small functions that several parts need.
export const root = document.getElementById("flow");
const TIMEOUT = 5_000; // milliseconds: old figures must not stay because a service does not answer
const words = JSON.parse(root.dataset.words);

export function say(key, facts = {}) {
  return Object.entries(facts).reduce((text, [name, fact]) => text.replace(`{${name}}`, fact), words[key] ?? key);
}

export function rupiah(amount) {
  return `Rp${String(amount).replace(/\B(?=(\d{3})+$)/g, ".")}`;
}

export function short(id) {
  return id.replaceAll("-", "").slice(-6).toUpperCase();
}

export const press = (button, on) => button.setAttribute("aria-pressed", String(on));
export const put = (place, text) => place && place.textContent !== String(text) && (place.textContent = text);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A path may break behind its parts, as on other pages.
export const breakable = (name) => name.split(/(?<=[^\s/]\/)/).flatMap((part, number) => (number ? [element("wbr"), part] : [part]));

// What was done, or why not: in a live region.
export function announce(text, bad = false) {
  const said = root.querySelector("[data-said]");
  said.textContent = text;
  said.classList.toggle("bad-text", bad);
}

export async function ask(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const signal = method === "GET" ? AbortSignal.timeout(TIMEOUT) : undefined;
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const found = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(found?.title ?? String(answer.status));
  return found;
}

// Acts when a button is pressed, once at a time; announces a failure.
export function when(button, act) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await act(button);
    } catch (error) {
      announce(say("failed", { why: error.message }), true);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

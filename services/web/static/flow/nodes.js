// The controls on the nodes: one is open at a time; its button, Escape or a press elsewhere closes it.
import { root } from "./words.js";

const open = () => root.querySelector("[data-place] details[open]");

function close(focus) {
  const details = open();
  if (!details) return;
  details.open = false;
  if (focus) details.querySelector("summary").focus();
}

document.addEventListener("keydown", (event) => event.key === "Escape" && close(true));
document.addEventListener("pointerdown", (event) => !open()?.contains(event.target) && close(false));
root.addEventListener("click", (event) => event.target.closest("[data-closes]") && close(true));

// The names of moving dots: those of the followed journey, and of what is under the pointer or the focus. A name that
// would lie on a node or on another name finds another side of its dot, or is left out.
import { map } from "./picture.js";
import { root } from "./words.js";

const HEIGHT = 18;
const LETTER = 8.6; // a letter's width, on average
const AWAY = 11; // from the dot's middle
const FAR = 4; // times as far, where there is no room beside the dot

let near = "";

for (const control of root.querySelectorAll("[data-place]")) {
  const name = control.dataset.place;
  for (const event of ["pointerenter", "focusin"]) control.addEventListener(event, () => (near = name));
  for (const event of ["pointerleave", "focusout"]) control.addEventListener(event, () => near === name && (near = ""));
}

export const wanted = (one, followed) => (followed && one.story === followed) || (near && one.touches.includes(near));

const crosses = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

// Places the names of these dots, each of `{ dot, x, y }`, so that all can be read.
export function place(labelled) {
  const taken = Object.keys(map.places).map((name) => around(map.places[name], map.size(name)));
  for (const { x, y } of labelled) taken.push(around([x, y], [2 * AWAY - 2, 2 * AWAY - 2]));
  for (const { dot, x, y } of labelled) {
    const text = dot.lastChild;
    const wide = text.textContent.length * LETTER;
    const sides = [
      [0, -AWAY - HEIGHT / 2],
      [0, AWAY + HEIGHT / 2],
      [AWAY + wide / 2, 0],
      [-AWAY - wide / 2, 0],
      [0, -FAR * HEIGHT],
      [0, FAR * HEIGHT],
    ];
    const free = sides.find(([dx, dy]) => fits(around([x + dx, y + dy], [wide, HEIGHT]), taken));
    text.setAttribute("visibility", free ? "inherit" : "hidden");
    if (!free) continue;
    text.setAttribute("x", free[0]);
    text.setAttribute("y", free[1] + 4);
    taken.push(around([x + free[0], y + free[1]], [wide, HEIGHT]));
  }
}

function around([x, y], [width, height]) {
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
}

function fits(box, taken) {
  const [width, height] = map.box;
  return box[0] > 0 && box[1] > 0 && box[2] < width && box[3] < height && !taken.some((other) => crosses(box, other));
}

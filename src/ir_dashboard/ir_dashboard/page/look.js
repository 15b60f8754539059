// SPDX-License-Identifier: Apache-2.0
// Elements, colours and figures, the same everywhere on the page.

const COLOURS = ["#5aa9f0", "#f0a860", "#56c9a8", "#e08ac0", "#b6a3f5", "#d9d264", "#f2857b", "#8fd0e8"];
const given = { robot: new Map(), slice: new Map() };

function colour(kind, name) {
  const seen = given[kind];
  if (!seen.has(name)) seen.set(name, COLOURS[seen.size % COLOURS.length]);
  return seen.get(name);
}
export const robotColour = name => colour("robot", name);
export const sliceColour = name => colour("slice", name);

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const missing = value => value === null || value === undefined;
export const fixed = (value, digits = 1) => missing(value) ? "–" : value.toFixed(digits);
export const whole = value => missing(value) ? "–" : Math.round(value).toLocaleString("en");
export const milliseconds = s => missing(s) ? "–" : s < .0095 ? `${(1e3 * s).toFixed(1)} ms` : `${Math.round(1e3 * s)} ms`;
export const megabits = bps => missing(bps) ? "–" : bps < 1e6 ? (bps / 1e6).toFixed(2) : (bps / 1e6).toFixed(1);
export function percent(fraction) {
  if (missing(fraction)) return "–";
  return `${Number((100 * fraction).toPrecision(2))} %`;
}
export function age(s) {
  return s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

let hiding;
/** Says something that went wrong, for a while. */
export function toast(text) {
  const box = document.getElementById("toast");
  box.textContent = text; box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.hidden = true; }, 5000);
}

// SPDX-License-Identifier: Apache-2.0
// Charts over the last seconds on plain canvases, redrawn when a row comes.

const GRID = "#27313c", INK = "#93a1af";

/** Sizes a canvas to its place and clears it; returns the context and size in CSS pixels, or null where it is hidden. */
function sheet(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2), width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return null;
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "11px system-ui, sans-serif";
  return { g, width, height };
}

const across = (rows, span, width) => { const end = rows.at(-1)?.at ?? 0; return row => width * (1 - (end - row.at) / span); };

function path(g, rows, x, y, value) {
  g.beginPath();
  let pen = false;
  for (const row of rows) {
    const v = value(row);
    if (v === null || v === undefined) { pen = false; continue; }
    pen ? g.lineTo(x(row), y(v)) : g.moveTo(x(row), y(v));
    pen = true;
  }
  g.stroke();
}

function timeAxis(g, width, bottom, span) {
  g.fillStyle = INK; g.textAlign = "right"; g.fillText("now", width - 2, bottom + 12);
  g.textAlign = "left"; g.fillText(`−${span} s`, 2, bottom + 12);
}

/** Stacked areas: layers [{name, colour}], value(row, name); up to `top`. */
export function stacked(canvas, rows, span, layers, value, top) {
  const s = sheet(canvas);
  if (!s) return;
  const { g, width, height } = s, bottom = height - 16, x = across(rows, span, width), y = v => bottom - (bottom - 4) * v / top;
  const base = new Float64Array(rows.length);
  for (const { name, colour } of layers) {
    g.fillStyle = colour; g.beginPath();
    rows.forEach((row, i) => g.lineTo(x(row), y(base[i] + (value(row, name) ?? 0))));
    for (let i = rows.length - 1; i >= 0; i--) { g.lineTo(x(rows[i]), y(base[i])); base[i] += value(rows[i], name) ?? 0; }
    g.globalAlpha = .85; g.fill(); g.globalAlpha = 1;
  }
  g.strokeStyle = GRID; g.fillStyle = "#c9d3dc"; g.lineWidth = 1; g.textAlign = "left";
  for (const part of [.25, .5, .75, 1]) {
    const at = Math.round(y(part * top)) + .5;
    g.globalAlpha = .6; g.beginPath(); g.moveTo(0, at); g.lineTo(width, at); g.stroke(); g.globalAlpha = 1;
    if (part !== .25 && part !== .75) g.fillText(`${Math.round(part * top)}`, 3, at + 12);
  }
  timeAxis(g, width, bottom, span);
}

/** A small line chart: lines [{colour, value(row), dash}], and a dashed level. */
export function spark(canvas, rows, span, lines, level) {
  const s = sheet(canvas);
  if (!s) return;
  const { g, width, height } = s, x = across(rows, span, width);
  let top = (level ?? 0) * 1.15;
  for (const row of rows) for (const line of lines) top = Math.max(top, line.value(row) ?? 0);
  const y = v => height - 2 - (height - 4) * v / (top || 1);
  if (level) {
    g.strokeStyle = "#e6ebf0"; g.globalAlpha = .55; g.setLineDash([3, 3]); g.lineWidth = 1;
    g.beginPath(); g.moveTo(0, y(level)); g.lineTo(width, y(level)); g.stroke(); g.globalAlpha = 1;
  }
  g.lineWidth = 1.5;
  for (const line of lines) { g.strokeStyle = line.colour; g.setLineDash(line.dash ?? []); path(g, rows, x, y, line.value); }
  g.setLineDash([]);
}

const VERDICTS = { accepted: "#4cc38a", vetoed: "#f0b429", invalid: "#f2695c", untested: "#5c6f80" };

/** A robot's twin: reward and prediction above, verdicts of each of the kinds below, falls and collisions as marks.
 *  row(row) gives { predicted, reward, falls, collisions } and a count of each kind, or undefined. */
export function verdicts(canvas, rows, span, kinds, row) {
  const s = sheet(canvas);
  if (!s) return;
  const { g, width, height } = s, strip = 18, bottom = height - 16 - strip - 3, left = 34;
  const shift = across(rows, span, width - left), x = r => left + shift(r);
  let low = Infinity, high = -Infinity;
  for (const r of rows) for (const v of [row(r)?.predicted, row(r)?.reward]) if (v !== null && v !== undefined) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) [low, high] = [0, 1];
  const room = Math.max(.05, .1 * (high - low)), y = v => bottom - (bottom - 4) * (v - low + room) / (high - low + 2 * room);
  g.fillStyle = INK; g.strokeStyle = GRID; g.lineWidth = 1; g.textAlign = "right";
  for (const v of [high, low]) { g.fillText(v.toFixed(Math.abs(v) < 10 ? 2 : 0), left - 4, y(v) + 4); g.beginPath(); g.moveTo(left, y(v)); g.lineTo(width, y(v)); g.stroke(); }
  g.lineWidth = 1.6;
  for (const [column, colour, dash] of [["reward", "#5aa9f0", []], ["predicted", "#e4b3f0", [4, 3]]]) {
    g.strokeStyle = colour; g.setLineDash(dash); path(g, rows, x, y, r => row(r)?.[column]);
  }
  g.setLineDash([]);
  const wide = Math.max(1, (width - left) * .5 / span + .6);
  let before;
  for (const r of rows) {
    const now = row(r);
    if (!now) continue;
    const all = kinds.reduce((sum, kind) => sum + now[kind], 0);
    let at = height - 16;
    for (const kind of all ? kinds : []) { const h = strip * now[kind] / all; g.fillStyle = VERDICTS[kind]; g.fillRect(x(r) - wide, at - h, wide, h); at -= h; }
    if (before) {
      g.textAlign = "center";
      if (now.falls > before.falls) { g.fillStyle = "#f2695c"; g.fillText("▼", x(r), 12); }
      if (now.collisions > before.collisions) { g.fillStyle = "#f0b429"; g.fillText("◆", x(r), 12); }
    }
    before = now;
  }
  timeAxis(g, width, height - 16, span);
}

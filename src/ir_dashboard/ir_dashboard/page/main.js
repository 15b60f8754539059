// SPDX-License-Identifier: Apache-2.0
// Puts the page together: what the socket says goes to the parts.

import { Cameras } from "./cameras.js";
import { verdicts } from "./chart.js";
import { Drive } from "./drive.js";
import { FloorMap } from "./floor_map.js";
import { Link } from "./link.js";
import { age, element, fixed, milliseconds, robotColour, toast, whole } from "./look.js";
import { Slices } from "./slices.js";
import { World } from "./world.js";

const by = id => document.getElementById(id), pill = (id, text, kind = "") => { by(id).textContent = text; by(id).className = `pill ${kind}`; };
const link = new Link(), world = new World(), cameras = new Cameras(link), drive = new Drive(link, cameras), slices = new Slices(link), floorMap = new FloorMap(world);
const windscreen = by("windscreen").parentElement;
let rows = [], columns = {}, kinds = [], span = 120, order = [], cards = {}, lines = {}, updates = 0, last = 0;

const WIDE = new Set(["learns"]);

function figures(names) {
  const cells = Object.fromEntries(names.map(name => [name, element("dd")]));
  return [cells, element("dl", { className: "figures" }, ...names.map(name => element("div", { className: WIDE.has(name) ? "wide" : "" }, element("dt", { textContent: name }), cells[name])))];
}

function build(robots) {
  const list = document.querySelector("#robots .cards"), charts = document.querySelector("#verdicts .rows");
  list.replaceChildren(); charts.replaceChildren(); cards = {}; lines = {};
  for (const name of robots) {
    const [cells, dl] = figures(["moved", "reward", "goals", "falls", "collisions", "stops", "accepted", "vetoed", "verdict p99", "r̂ error", "model", "as known", "link", "learns"]);
    const screen = element("div", { className: "screen stale" }, element("canvas", { width: 4, height: 3, role: "img", ariaLabel: `camera of ${name}` }), element("span", { className: "age" }));
    const task = element("span", { className: "dim" });
    const card = element("div", { className: "card robot" }, screen, element("div", {}, element("h3", {}, element("span", { textContent: name }), task), dl));
    card.style.borderLeftColor = robotColour(name);
    cameras.show(name, screen);
    list.append(card);
    cards[name] = { cells, task };
    lines[name] = element("canvas", { className: "chart", role: "img", ariaLabel: `reward and verdicts of ${name} over time` });
    const title = element("h3", {}, element("span", { textContent: name }));
    title.style.color = robotColour(name);
    charts.append(title, lines[name]);
  }
}

function showRobots(robots) {
  for (const [name, r] of Object.entries(robots)) {
    const c = cards[name];
    if (!c) continue;
    c.task.textContent = r.task;
    const v = r.verdicts, said = {
      moved: `${fixed(r.distance_metres)} m`, reward: fixed(r.reward, 0), goals: whole(r.goals), falls: whole(r.falls), collisions: whole(r.collisions),
      stops: whole(r.stops), accepted: whole(v.accepted), vetoed: whole(v.vetoed), "verdict p99": milliseconds(v.latency_seconds.p99),
      "r̂ error": fixed(r.twin.reward_error, 3), model: v.model_version ? `v${v.model_version}` : "none", link: r.link.snr === undefined ? "–" : `${fixed(r.link.snr, 0)} dB` };
    const known = r.twin.known;
    said["as known"] = known ? (known.as_known ? "yes" : "no") : "–";
    c.cells["as known"].title = known ? known.message : "the twin does not know it from practice";
    c.cells["as known"].className = known && !known.as_known ? "bad-text" : "";
    const agent = r.agent;
    said.learns = agent ? `v${agent.version}, return ${fixed(agent.return, 0)}` : "–";
    c.cells.learns.title = agent ? `${agent.algorithm}: ${agent.versions} versions, ${agent.taken_back} taken back, ${agent.falls} falls in ${agent.episodes} episodes, `
      + `${fixed(100 * agent.twin_share, 0)} % of the experience from the twin${agent.gan_distance === undefined ? "" : `; GAN: distance ${fixed(agent.gan_distance, 1)}, accuracy ${fixed(agent.gan_accuracy, 2)}, ${agent.gan_passes ? "used" : "not used"}`}` : "nobody learns from it; learn:=ROBOT";
    for (const [key, text] of Object.entries(said)) c.cells[key].textContent = text;
    c.cells.falls.className = r.falls ? "bad-text" : "";
    c.cells.collisions.className = r.collisions ? "warn-text" : "";
    c.cells.vetoed.className = v.vetoed ? "warn-text" : "";
  }
}

function showNodes(nodes) {
  const all = Object.entries(nodes), restarts = all.reduce((sum, [, n]) => sum + n.restarts, 0);
  pill("health", `${all.length} nodes${restarts ? `, ${restarts} restarts` : ""}`, restarts ? "warn" : "good");
  document.querySelector("#nodes .table").replaceChildren(...all.map(([name, n]) => element("div", { title: `process ${n.process_id} on ${n.host}` },
    element("span", { textContent: name }), element("span", { className: n.restarts ? "warn-text" : "dim", textContent: n.restarts ? `restarts ${n.restarts}` : "" }),
    element("span", { className: "dim", textContent: `up ${age(n.age)}` }))));
}

function drawCharts() {
  if (document.hidden) return;
  slices.draw(rows, span);
  for (const name of order) verdicts(lines[name], rows, span, kinds, row => row.robots[name]);
}

/** A row with names for its numbers; the node says which. */
function named(row) {
  const all = key => Object.entries(row[key]).map(([name, values]) => [name, Object.fromEntries(columns[key].map((column, i) => [column, values[i]]))]);
  return { at: row.at, slices: Object.fromEntries(all("slices")), robots: Object.fromEntries(all("robots")) };
}

function addRows(more) {
  for (const row of more) if (!rows.length || row.at > rows.at(-1).at) rows.push(named(row));
  while (rows.length && rows[0].at < rows.at(-1).at - span) rows.shift();
  drawCharts();
}

link.addEventListener("hello", ({ detail }) => {
  order = detail.order; span = detail.history; columns = detail.columns; kinds = detail.verdict_kinds; rows = []; slices.labels = detail.slice_labels;
  by("world").textContent = detail.scene.name;
  build(order); world.build(detail.scene, order); drive.hello(detail); look();
  pill("access", detail.writes ? "may write" : "read only", detail.writes ? "good" : "");
});
link.addEventListener("update", ({ detail }) => {
  updates++; last = performance.now();
  if (detail.time !== undefined) by("clock").textContent = `${detail.time.toFixed(1)} s`;
  if (detail.seats) { drive.update(detail.seats); world.expect(detail.seats); }
  if (detail.recording) showRecording(detail.recording);
  if (detail.poses) world.update(detail.poses);
  if (detail.slices) slices.update(detail.slices, detail.carrier);
  if (detail.robots) showRobots(detail.robots);
  if (detail.nodes) showNodes(detail.nodes);
  if (detail.host) showHost(detail.host);
  if (detail.map) floorMap.update(detail.map);
  if (detail.caption !== undefined) { by("caption").textContent = detail.caption; by("caption").hidden = !detail.caption; }
  if (detail.row || detail.rows) addRows(detail.rows ?? [detail.row]);
  if (detail.you) { requestAnimationFrame(() => performance.mark("first picture")); }
});
link.addEventListener("image", ({ detail }) => cameras.take(order[detail.camera], detail.taken, detail.file));
link.addEventListener("pong", ({ detail }) => { by("ping").textContent = milliseconds(detail / 1e3); });
link.addEventListener("closed", ({ detail }) => pill("live", detail || "no connection", "bad"));
link.addEventListener("refused", ({ detail }) => toast(detail));

function showHost({ pace, models_numbers, line, lacks = [] }) {
  const whose = models_numbers === null ? "" : models_numbers ? ", the model's" : ", the host's";
  pill("host", `pace ${pace === null ? "–" : pace.toFixed(2)}${whose}`, models_numbers === false ? "bad" : "");
  by("host").title = line;
  const missing = by("lacks");
  if (missing.hidden && lacks.length) toast(lacks.join("; "));
  missing.hidden = !lacks.length;
  missing.textContent = `${lacks.length} missing`;
  missing.title = lacks.join("\n");
}

let recording = false;
function showRecording({ on, bag, seconds, error }) {
  recording = on;
  by("record").textContent = on ? `■ ${age(seconds)}` : "● record";
  by("record").className = `pill ${on ? "bad" : ""}`;
  by("record").title = bag ? `${on ? "into" : "the last one is in"} ${bag}` : "everything, into a bag";
  if (error) toast(error);
}
by("record").onclick = async () => {
  if (!link.writes) return toast("Recording needs the token: press “read only” at the top.");
  try { showRecording(await link.ask("PUT", "recording", { on: !recording })); } catch (error) { toast(error.message); }
};

function look() { cameras.only(windscreen, by("driven").value); }
by("driven").addEventListener("change", look);
by("access").onclick = () => by("token-form").showModal();
by("token-form").addEventListener("submit", event => {
  if (event.submitter?.value === "ok") link.use(new FormData(event.target).get("token"));
});
setInterval(() => {
  if (link.open) pill("live", performance.now() - last < 1500 ? `live ${updates}/s` : "no news", updates ? "good" : "warn");
  updates = 0;
}, 1000);
addEventListener("resize", drawCharts);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { drawCharts(); world.draw(); } });

// SPDX-License-Identifier: Apache-2.0
// The world in 3D: scenery, robots with their joints, trails, labels, and a camera that orbits or follows.

import { Renderer, fromPose, multiply, shifted, turned } from "./gl.js";
import { element, robotColour } from "./look.js";

const TRAIL = 300;  // positions kept of each robot

export class World {
  constructor() {
    this.canvas = document.getElementById("view");
    this.labels = document.getElementById("labels");
    this.trails = {}; this.poses = {}; this.robots = {}; this.still = []; this.marks = {}; this.following = ""; this.ahead = {};
    this.waiting = this.stale = false; this.cost = 16;  // ms a frame
    this.camera = { azimuth: -1.9, height: .85, distance: 14, target: [0, 0, 0] };
    try { this.renderer = new Renderer(this.canvas); } catch (error) { console.warn(error); document.getElementById("no-gl").hidden = false; }
    this.canvas.addEventListener("webglcontextlost", () => { this.renderer = null; document.getElementById("no-gl").hidden = false; });
    this.#handle();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  build(scene, order) {
    this.still = scene.shapes.map(([kind, size, pose, colour]) => [kind, size, fromPose(pose), colour]);
    this.robots = scene.robots;
    this.camera.distance = Math.min(60, Math.max(4, 1.9 * scene.radius));
    this.labels.replaceChildren(); this.marks = {}; this.trails = {};
    const chips = document.getElementById("follow");
    chips.replaceChildren(element("button", { textContent: "overview", onclick: () => this.follow("") }),
      ...order.map(name => element("button", { textContent: name, onclick: () => this.follow(name) })));
    for (const name of order) {
      this.poses[name] ??= [scene.robots[name]?.start ?? [0, 0, 0, 0, 0, 0, 1], {}];
      this.marks[name] = this.labels.appendChild(element("span", { textContent: name }));
      this.marks[name].style.color = robotColour(name);
      this.trails[name] = [];
    }
    this.follow(this.following);
  }

  follow(name) {
    this.following = name;
    if (!name) this.camera.target = [0, 0, 0];
    for (const chip of document.getElementById("follow").children) chip.setAttribute("aria-pressed", chip.textContent === (name || "overview"));
    this.draw();
  }

  update(poses) {
    for (const [name, [pose, joints]] of Object.entries(poses)) {
      this.poses[name] = [pose, joints];
      const trail = this.trails[name];
      if (!trail) continue;
      const n = trail.length, moved = n ? Math.hypot(pose[0] - trail[n - 2], pose[1] - trail[n - 1]) : 1;
      if (moved > 1.5) trail.length = 0;  // it was put back to its start
      if (moved > .03) trail.push(pose[0], pose[1]);
      if (trail.length > 2 * TRAIL) trail.splice(0, 2);
    }
    this.draw();
  }

  /** Colours a part of the floor: {area: [x, y, width, height] in m, columns, rows, pixels: RGBA}; null: none. */
  carpet(map) { this.renderer?.carpet(map); this.draw(); }

  /** Where commands that are on their way lead driven robots: from their poses on, x, y (m) and heading (rad). */
  expect(seats) { this.ahead = Object.fromEntries(Object.entries(seats).map(([name, seat]) => [name, seat.ahead ?? [0, 0, 0]])); }

  /** Draws before the next frame of the screen; many calls until then make one picture. */
  draw() {
    this.stale = true;
    if (this.waiting || !this.renderer || document.hidden) return;
    this.waiting = true; this.stale = false;
    requestAnimationFrame(start => {
      this.#paint();
      requestAnimationFrame(end => {  // a screen that cannot follow gets fewer pixels, then fewer frames
        this.cost = .8 * this.cost + .2 * (end - start);
        if (this.cost > 45 && this.renderer?.detail > .35) { this.renderer.detail *= .8; this.cost = 20; }
        setTimeout(() => { this.waiting = false; if (this.stale) this.draw(); }, Math.max(0, this.cost - 20));  // time for hands
      });
    });
  }

  #paint() {
    if (!this.renderer) return;
    const items = [...this.still], trails = [];
    for (const [name, [pose, joints]] of Object.entries(this.poses)) {
      const rgb = robotColour(name).match(/\w\w/g).map(h => parseInt(h, 16) / 255), links = this.robots[name]?.links;
      if (links) this.#links(items, links, fromPose(pose), joints);
      else items.push(["cylinder", [.2, .25], multiply(fromPose(pose), shifted(0, 0, .13)), rgb], ["box", [.12, .08, .04], multiply(fromPose(pose), shifted(.15, 0, .27)), [1, .85, .3]]);
      const [dx, dy, turn] = this.ahead[name] ?? [0, 0, 0];
      if (Math.hypot(dx, dy) > .02 || Math.abs(turn) > .02) {  // a flat mark where it will be
        const there = multiply(multiply(fromPose(pose), shifted(dx, dy, .02 - pose[2])), turned([0, 0, 1], turn));
        items.push(["cylinder", [.22, .01], there, rgb.map(v => .5 + v / 2)], ["box", [.16, .05, .02], multiply(there, shifted(.14, 0, .01)), [1, 1, 1]]);
      }
      trails.push({ points: this.trails[name] ?? [], colour: rgb });
    }
    const c = this.camera, followed = this.poses[this.following]?.[0];
    if (followed) c.target = followed.slice(0, 3);
    const flat = c.distance * Math.cos(c.height), [x, y, z] = c.target, close = followed ? .35 : 1;
    const eye = [x + close * flat * Math.cos(c.azimuth), y + close * flat * Math.sin(c.azimuth), z + close * c.distance * Math.sin(c.height)];
    this.renderer.draw(items, trails, { eye, target: c.target });
    for (const [name, mark] of Object.entries(this.marks)) {
      const [px, py, pz] = this.poses[name][0], at = this.renderer.project([px, py, pz + .45]);
      mark.hidden = !at;
      if (at) mark.style.transform = `translate(${at[0].toFixed(1)}px, ${at[1].toFixed(1)}px) translate(-50%, -100%)`;
    }
  }

  #links(items, links, base, joints) {
    const placed = [];
    for (const link of links) {
      let m = link.parent < 0 ? base : multiply(placed[link.parent], fromPose(link.rest));
      const q = link.joint ? joints[link.joint] ?? 0 : 0, [x, y, z] = link.at;
      if (q && link.slides) m = multiply(m, shifted(...link.axis.map(a => a * q)));
      else if (q) m = multiply(m, multiply(shifted(x, y, z), multiply(turned(link.axis, q), shifted(-x, -y, -z))));
      placed.push(m);
      for (const [kind, size, pose, colour] of link.shapes) items.push([kind, size, multiply(m, fromPose(pose)), colour]);
    }
  }

  #handle() {
    const down = new Map(), c = this.camera;
    let spread = 0;
    const change = () => this.draw();
    this.canvas.addEventListener("pointerdown", e => { down.set(e.pointerId, [e.clientX, e.clientY]); this.canvas.setPointerCapture(e.pointerId); spread = 0; });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, e => { down.delete(e.pointerId); spread = 0; });
    this.canvas.addEventListener("pointermove", e => {
      const last = down.get(e.pointerId);
      if (!last) return;
      const dx = e.clientX - last[0], dy = e.clientY - last[1];
      down.set(e.pointerId, [e.clientX, e.clientY]);
      if (down.size === 2) {  // pinch
        const [a, b] = [...down.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) this.#zoom(spread / now);
        spread = now;
      } else if (e.shiftKey || e.buttons === 4) {
        const k = c.distance / 600, s = Math.sin(c.azimuth), o = Math.cos(c.azimuth);
        this.following = ""; c.target = [c.target[0] + k * (dx * s - dy * o), c.target[1] - k * (dx * o + dy * s), c.target[2]];
      } else { c.azimuth -= dx / 150; c.height = Math.max(.05, Math.min(1.53, c.height + dy / 150)); }
      change();
    });
    this.canvas.addEventListener("wheel", e => { e.preventDefault(); this.#zoom(Math.exp(e.deltaY / 700)); change(); }, { passive: false });
  }

  #zoom(by) { this.camera.distance = Math.max(1, Math.min(120, this.camera.distance * by)); }
}

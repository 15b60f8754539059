// SPDX-License-Identifier: Apache-2.0
// Camera pictures as they arrive at the edge.

const STALE = 2000;  // ms

export class Cameras {
  constructor(link) { this.link = link; this.screens = {}; this.seen = {}; this.taken = {}; setInterval(() => this.#age(), 500); }

  /** How old the picture on the screen is, from the shutter on, s; undefined: not known. */
  age(robot) {
    const age = this.link.time - this.taken[robot];
    return Number.isFinite(age) ? Math.max(0, age) : undefined;
  }

  /** Shows a robot's pictures on the canvas in a .screen as well. */
  show(robot, screen) { (this.screens[robot] ??= new Set()).add(screen); }

  only(screen, robot) {
    for (const all of Object.values(this.screens)) all.delete(screen);
    this.show(robot, screen);
  }

  async take(robot, taken, file) {
    let picture;
    try { picture = await createImageBitmap(file); } catch { return; }  // a broken picture; the next one comes soon
    this.seen[robot] = performance.now(); this.taken[robot] = taken;
    for (const screen of this.screens[robot] ?? []) {
      const canvas = screen.querySelector("canvas");
      if (canvas.width !== picture.width || canvas.height !== picture.height) { canvas.width = picture.width; canvas.height = picture.height; }
      canvas.getContext("2d").drawImage(picture, 0, 0);
      screen.classList.remove("stale");
    }
    picture.close();
  }

  #age() {
    for (const [robot, screens] of Object.entries(this.screens)) {
      const ms = performance.now() - (this.seen[robot] ?? -Infinity), stale = !(ms < STALE);
      for (const screen of screens) {
        screen.classList.toggle("stale", stale);
        const age = screen.querySelector(".age");
        age.hidden = !stale;
        age.textContent = Number.isFinite(ms) ? `${Math.round(ms / 1000)} s old` : "no picture";
      }
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
// The radio's map as colours of the floor, and the button that shows or hides it.

const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];  // viridis
const NOTHING = [70, 70, 70];  // out of coverage

function colour(share) {
  const at = share * (RAMP.length - 1), k = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[k].map((low, i) => Math.round(low + (at - k) * (RAMP[k + 1][i] - low)));
}

export class FloorMap {
  constructor(world) {
    this.world = world;
    this.button = document.getElementById("floor-map");
    this.button.onclick = () => this.#show(this.button.getAttribute("aria-pressed") !== "true");
  }

  /** Takes the map: levels in dB, row by row from the south-west, -1 out of coverage. */
  update({ x, y, cell, columns, rows, levels }) {
    this.button.hidden = !levels;
    if (!levels) return;
    const known = levels.filter(level => level >= 0), least = Math.min(...known), most = Math.max(...known), pixels = new Uint8Array(4 * columns * rows);
    levels.forEach((level, i) => pixels.set([...level < 0 ? NOTHING : colour((level - least) / Math.max(most - least, 1)), 255], 4 * i));
    this.map = { area: [x, y, columns * cell, rows * cell], columns, rows, pixels };
    this.button.querySelector("span").textContent = known.length ? `radio ${least} to ${most} dB` : "no coverage";
    this.button.querySelector("i").style.background = `linear-gradient(90deg, ${RAMP.map(rgb => `rgb(${rgb})`).join()})`;
    this.#show(this.button.getAttribute("aria-pressed") === "true");
  }

  #show(on) {
    this.button.setAttribute("aria-pressed", on);
    this.world.carpet(on ? this.map : null);
  }
}

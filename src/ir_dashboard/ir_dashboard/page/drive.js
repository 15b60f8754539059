// SPDX-License-Identifier: Apache-2.0
// Teleoperation: stick and keys to commands, 20 a second while a hand is on them; letting go, or looking away, stops.

import { fixed, milliseconds, toast } from "./look.js";

const PERIOD = 50;  // ms
const KEYS = { KeyW: [1, 0], ArrowUp: [1, 0], KeyS: [-1, 0], ArrowDown: [-1, 0], KeyA: [0, 1], ArrowLeft: [0, 1], KeyD: [0, -1], ArrowRight: [0, -1] };
const PAD_DEAD = .15, PAD_STOP = 1;  // of a gamepad's stick, dead zone; button (B, circle) that stops
const LIMITED = { "": "as you wish", guard: "kept from what is ahead", steered: "steered past what is ahead", sight: "slower: old picture", link: "slower: late link" };
const by = id => document.getElementById(id);

export class Drive {
  constructor(link, cameras) {
    this.link = link; this.cameras = cameras; this.sight = [Infinity, Infinity]; this.padded = false;
    this.you = ""; this.seats = {}; this.keys = new Set(); this.stick = null; this.timer = 0;
    this.robot = by("driven"); this.pad = by("stick"); this.knob = by("knob");
    by("take").onclick = () => this.take(true);
    by("release").onclick = () => { this.stop(); link.send({ release: this.robot.value }); };
    this.robot.onchange = () => { this.stop(); this.show(); };
    this.#watchStick(); this.#watchKeys();
    setInterval(() => { this.#readPad(); this.#showAge(); }, PERIOD);
    addEventListener("blur", () => this.stop());
    addEventListener("pagehide", () => this.stop());
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.stop(); });
    link.addEventListener("closed", () => { this.stop(); this.seats = {}; this.show(); });
  }

  get mine() { return Boolean(this.you) && this.seats[this.robot.value]?.driver === this.you; }

  hello({ you, drivable, dead_man, sight }) {
    this.you = you; this.sight = sight ?? this.sight;
    if ([...this.robot.options].map(o => o.value).join() !== drivable.join()) this.robot.replaceChildren(...drivable.map(name => new Option(name)));
    by("deadman").textContent = milliseconds(dead_man);
    this.show();
  }

  take(over) {
    if (!this.link.writes) return toast("Driving needs the token: press “read only” at the top.");
    if (this.robot.value) this.link.send({ take: this.robot.value, over });
  }

  /** Where stick or keys point: [forward, turn], each in [-1, 1]. */
  get wish() {
    if (this.stick) return this.stick;
    let forward = 0, turn = 0;
    for (const code of this.keys) { forward += KEYS[code][0]; turn += KEYS[code][1]; }
    return [Math.sign(forward), Math.sign(turn)];
  }

  start() {
    if (this.timer) return;
    const seat = this.seats[this.robot.value];
    if (!this.mine && !seat?.driver) this.take(false);
    this.timer = setInterval(() => this.push(), PERIOD);
    this.push();
  }

  push() {
    const [forward, turn] = this.wish;
    const age = this.cameras.age(this.robot.value), at = this.link.time;
    if (this.mine) this.link.send({ cmd: [this.robot.value, forward, turn], age, at });
    this.pad.classList.toggle("on", this.mine);
    this.knob.style.transform = `translate(${-46 * turn}px, ${-46 * forward}px)`;
    by("proposed").textContent = `${fixed(forward, 2)} / ${fixed(turn, 2)}`;
  }

  /** Hands off: says stop at once instead of waiting for the dead-man. */
  stop() {
    this.keys.clear(); this.stick = null;
    clearInterval(this.timer); this.timer = 0;
    this.push();
    this.pad.classList.remove("on");
  }

  update(seats) { this.seats = seats; this.show(); }

  show() {
    const seat = this.seats[this.robot.value], tag = by("seat");
    const [text, kind] = !this.robot.value ? ["no robot here takes velocities", ""] : !seat ? ["not connected", "bad"]
      : this.mine ? ["you drive", "blue"] : seat.driver ? [seat.driver === "joystick" ? "a joystick drives" : "somebody else drives", "warn"]
      : seat.held ? ["stopped, waits for a driver", "bad"] : ["drives itself", "good"];
    tag.textContent = text; tag.className = `tag ${kind}`;
    by("take").hidden = this.mine;
    by("take").textContent = seat?.driver ? "Take over" : "Drive";
    by("release").hidden = !(this.mine || (seat?.held && !seat.driver));
    by("release").textContent = this.mine ? "Release" : "Let it drive itself";
    by("limited").textContent = !this.mine ? "–" : LIMITED[seat.limited] + (seat.guarded || seat.limited ? "" : ", no guard");
    by("limited").className = seat?.limited ? "warn-text" : "";
    by("refused").textContent = seat ? `${seat.refused}` : "–";
    by("trip").textContent = milliseconds(seat?.trip);
    by("trips").textContent = seat?.p50 ? `${milliseconds(seat.p50)} / ${milliseconds(seat.p99)}` : "–";
  }

  #showAge() {
    const age = this.cameras.age(this.robot.value), box = by("picture-age"), [slow, lock] = this.sight;
    box.textContent = age > lock ? `${milliseconds(age)}: locked` : age > slow ? `${milliseconds(age)}: slowed` : milliseconds(age);
    box.className = age > lock ? "bad-text" : age > slow ? "warn-text" : "";
  }

  /** The left stick of the first gamepad that is moved; let go, it stops. */
  #readPad() {
    for (const pad of navigator.getGamepads?.() ?? []) {
      if (!pad?.connected) continue;
      const [x, y] = [pad.axes[0] ?? 0, pad.axes[1] ?? 0].map(v => Math.abs(v) < PAD_DEAD ? 0 : Math.sign(v) * (Math.abs(v) - PAD_DEAD) / (1 - PAD_DEAD));
      if (pad.buttons[PAD_STOP]?.pressed) { if (this.padded || this.mine) { this.padded = false; this.stop(); } return; }
      if (x || y) { this.padded = true; this.stick = [-y, -x]; return document.hasFocus() ? this.start() : this.stop(); }
    }
    if (this.padded) { this.padded = false; this.stop(); }
  }

  #watchStick() {
    let finger = null;
    const grip = { preventScroll: true };  // a page that scrolls under the finger makes ahead into astern
    const point = event => {
      const box = this.pad.getBoundingClientRect(), r = box.width / 2;
      let x = (event.clientX - box.left - r) / (.62 * r), y = (event.clientY - box.top - r) / (.62 * r);
      const far = Math.max(1, Math.hypot(x, y)), dead = v => Math.abs(v) < .08 ? 0 : v;
      this.stick = [dead(-y / far), dead(-x / far)];
    };
    this.pad.addEventListener("pointerdown", e => { e.preventDefault(); finger = e.pointerId; this.pad.setPointerCapture(finger); this.pad.focus(grip); point(e); this.start(); });
    this.pad.addEventListener("pointermove", e => { if (e.pointerId === finger) point(e); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      this.pad.addEventListener(end, e => { if (e.pointerId === finger) { finger = null; this.stop(); } });
  }

  #watchKeys() {
    const typing = e => /INPUT|SELECT|TEXTAREA/.test(e.target.tagName) || document.querySelector("dialog[open]") || e.ctrlKey || e.metaKey || e.altKey;
    addEventListener("keydown", e => {
      if (typing(e)) return;
      if (e.code === "Space" && this.mine) { e.preventDefault(); return this.stop(); }
      if (!(e.code in KEYS) || !(this.mine || e.target === this.pad)) return;
      e.preventDefault(); this.keys.add(e.code); this.start();
    });
    addEventListener("keyup", e => { if (this.keys.delete(e.code) && !this.keys.size && !this.stick) this.stop(); });
  }
}

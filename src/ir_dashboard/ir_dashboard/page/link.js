// SPDX-License-Identifier: Apache-2.0
// The socket to the dashboard and requests to its REST side. The token stays in this tab.

const KEY = "token";

export class Link extends EventTarget {
  constructor() {
    super();
    const token = new URLSearchParams(location.hash.slice(1)).get(KEY);
    if (token) { sessionStorage.setItem(KEY, token); history.replaceState(null, "", location.pathname); }
    this.writes = false; this.wait = 300; this.pings = [];
    this.connect();
    setInterval(() => this.send({ ping: performance.now() }), 1000);
  }

  get token() { return sessionStorage.getItem(KEY) ?? ""; }
  /** The other side's monotonic clock now, s; undefined before it was heard. Off by half of the fastest ping at most. */
  get time() { return this.offset === undefined ? undefined : performance.now() / 1e3 + this.offset; }

  get open() { return this.socket.readyState === WebSocket.OPEN; }

  use(token) { sessionStorage.setItem(KEY, token.trim()); this.socket.close(); }

  connect() {
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this.socket.binaryType = "arraybuffer";
    this.texts = 0;
    this.socket.onopen = () => this.send({ token: this.token });
    this.socket.onmessage = ({ data }) => this.#take(data);
    this.socket.onclose = ({ reason }) => {
      this.writes = false;
      this.#say("closed", reason);
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(5000, 1.6 * this.wait);
    };
  }

  send(message) { if (this.open) this.socket.send(JSON.stringify(message)); }

  /** Asks the REST side; throws an Error whose message says what it objected to. */
  async ask(method, path, body) {
    const answer = await fetch(`/api/v1/${path}`, { method, body: body && JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...(this.token && { Authorization: `Bearer ${this.token}` }) } });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.detail ?? answer.statusText);
    return said;
  }

  #say(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  #take(data) {
    if (data instanceof ArrayBuffer) {
      const head = new DataView(data);
      return this.#say("image", { camera: head.getUint8(0), taken: head.getFloat64(1, true), file: new Blob([new Uint8Array(data, 9)]) });
    }
    const message = JSON.parse(data);
    if (++this.texts % 5 === 0) this.send({ seen: this.texts });
    if (message.you) { this.wait = 300; this.writes = message.writes; this.pings = []; this.#say("hello", message); this.send({ ping: performance.now() }); }
    if (message.pong !== undefined) return this.#pong(message.pong, message.at);
    if (message.error) return this.#say("refused", message.error);
    this.#say("update", message);
  }

  #pong(sent, at) {
    const now = performance.now();
    this.pings.push({ took: now - sent, offset: at - (now + sent) / 2e3 });
    if (this.pings.length > 30) this.pings.shift();
    this.offset = this.pings.reduce((best, one) => one.took < best.took ? one : best).offset;
    this.#say("pong", now - sent);
  }
}

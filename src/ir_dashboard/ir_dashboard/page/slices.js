// SPDX-License-Identifier: Apache-2.0
// Slices: what each was promised and what it gets, and the forms that make, change and delete them.

import { spark, stacked } from "./chart.js";
import { element, megabits, milliseconds, percent, sliceColour, toast, fixed } from "./look.js";

const list = document.querySelector("#slices .cards"), form = document.getElementById("slice-form");

/** A rate of both directions, and in the same proportion those of the directions where they are apart. */
function rates(spec, rate) {
  const by = rate / spec.rate;
  return { rate, uplink_rate: by * spec.uplink_rate, downlink_rate: by * spec.downlink_rate };
}

/** What a slice fails to keep, as words; empty: it keeps its agreement. */
function failures(s) {
  const bad = [];
  if (s.rate && s.delivered_rate < .95 * Math.min(s.offered_rate, s.rate)) bad.push("rate");
  if (s.p99 > s.max_latency) bad.push("delay");
  if (s.reliability && s.recent_outage > 1 - s.reliability) bad.push("outage");
  return bad;
}

export class Slices {
  constructor(link) {
    this.link = link; this.all = {}; this.cards = {}; this.labels = {};
    document.getElementById("new-slice").onclick = () => this.#create();
  }

  update(slices, carrier) {
    this.all = slices; this.carrier = carrier;
    for (const name of Object.keys(this.cards)) if (!(name in slices)) { this.cards[name].card.remove(); delete this.cards[name]; }
    let broken = 0;
    for (const [name, s] of Object.entries(slices)) {
      const c = this.cards[name] ??= this.#card(name), bad = failures(s), judged = s.delivered_rate !== undefined;
      broken += bad.length > 0;
      c.kind.textContent = this.labels[s.type] ?? s.type ?? "";
      c.verdict.textContent = !judged ? "no report yet" : bad.length ? `✗ ${bad.join(", ")}` : "✓ kept";
      c.verdict.className = `tag ${!judged ? "" : bad.length ? "bad" : "good"}`;
      c.blocks.textContent = `${fixed(s.resource_blocks)} RB`;
      const top = 1.25 * Math.max(s.rate ?? 0, s.offered_rate ?? 0, 1);
      c.bar.style.width = `${100 * (s.delivered_rate ?? 0) / top}%`;
      c.promised.style.left = `${100 * (s.rate ?? 0) / top}%`;
      c.rate.textContent = `${megabits(s.delivered_rate)} Mb/s of ${megabits(s.offered_rate)} offered, ${megabits(s.rate)} guaranteed`;
      c.rate.classList.toggle("bad-text", bad.includes("rate"));
      c.delay.textContent = `p50 ${milliseconds(s.p50)}, p99 ${milliseconds(s.p99)}, bound ${milliseconds(s.max_latency)}`;
      c.delay.classList.toggle("bad-text", bad.includes("delay"));
      c.outage.textContent = `${s.type === "urllc" ? "outage" : "dropped"} ${percent(s.recent_outage)}, ever ${percent(s.outage)}, allowed ${percent(s.reliability && 1 - s.reliability)}`;
      c.outage.title = Object.entries(s.dropped_by_reason ?? {}).map(([why, n]) => `${why}: ${n}`).join("\n");
      c.outage.classList.toggle("bad-text", bad.includes("outage"));
    }
    const n = Object.keys(slices).length, pill = document.getElementById("sla");
    pill.textContent = n ? `slices ${n - broken}/${n} kept` : "no slices";
    pill.className = `pill ${broken ? "bad" : n ? "good" : ""}`;
    document.getElementById("carrier").textContent = carrier.resource_blocks
      ? `${carrier.resource_blocks} RB in ${fixed(carrier.bandwidth / 1e6, 0)} MHz${carrier.policy ? `, ${carrier.policy}` : ""}` : "";
  }

  draw(rows, span) {
    for (const [name, c] of Object.entries(this.cards)) {
      const s = this.all[name], at = column => row => row.slices[name]?.[column], colour = sliceColour(name);
      spark(c.rates, rows, span, [{ colour: "#7d8b99", value: at("offered_rate") }, { colour, value: at("delivered_rate") }], s.rate);
      spark(c.delays, rows, span, [{ colour, value: at("p50") }, { colour: "#e6ebf0", value: at("p99"), dash: [2, 2] }], s.max_latency);
    }
    const layers = Object.keys(this.all).map(name => ({ name, colour: sliceColour(name) }));
    stacked(document.querySelector("#blocks canvas"), rows, span, layers, (row, name) => row.slices[name]?.resource_blocks, this.carrier?.resource_blocks || 1);
    const legend = document.querySelector("#blocks .legend"), names = layers.map(l => l.name).join();
    if (legend.dataset.names !== names) {
      legend.dataset.names = names;
      legend.replaceChildren(...layers.flatMap(({ name, colour }) => {
        const key = element("i");
        key.style.background = colour;
        return [key, name];
      }));
    }
  }

  #card(name) {
    const c = Object.fromEntries(["kind", "verdict", "blocks"].map(k => [k, element("span", { className: k === "blocks" ? "dim" : "tag" })]));
    for (const k of ["rate", "delay", "outage"]) c[k] = element("div", { className: "said-line" });
    for (const k of ["rates", "delays"]) c[k] = element("canvas", { className: "chart", role: "img", ariaLabel: `${k} of slice ${name} over time` });
    c.bar = element("i"); c.promised = element("b");
    c.bar.style.background = sliceColour(name);
    const edit = element("button", { textContent: "Change", ariaLabel: `Change slice ${name}`, onclick: () => this.#change(name) });
    c.card = element("div", { className: "card slice" }, element("h3", {}, element("span", { textContent: name }), c.kind, c.verdict, c.blocks, edit),
      element("div", { className: "gauge" }, element("div", {}, element("div", { className: "bar" }, c.bar, c.promised), c.rate), c.rates),
      element("div", { className: "gauge" }, element("div", {}, c.delay, c.outage), c.delays));
    c.card.style.borderLeftColor = sliceColour(name);
    c.card.dataset.slice = name;
    list.append(c.card);
    return c;
  }

  async #create() {
    try {
      const { templates } = await this.link.ask("GET", "slices");
      form.querySelector("[name=template]").replaceChildren(...templates.map(t =>
        new Option(`${t.name}: ${megabits(t.rate)} Mb/s, ${milliseconds(t.max_latency)}`, t.name)));
    } catch (error) { return toast(error.message); }
    form.querySelector("[name=name]").value = "";
    this.#open("New slice", "create", fields => this.link.ask("POST", "slices", { template: fields.template, ...(fields.name && { name: fields.name }) }));
  }

  async #change(name) {
    let spec;
    try { ({ spec } = await this.link.ask("GET", `slices/${name}`)); } catch (error) { return toast(error.message); }
    for (const [field, value] of Object.entries({ rate: spec.rate / 1e6, latency: spec.max_latency * 1e3, reliability: spec.reliability, priority: spec.priority }))
      form.querySelector(`[name=${field}]`).value = value;
    this.#open(`Slice ${name}`, "modify", (f, what) => what === "delete" ? this.link.ask("DELETE", `slices/${name}`)
      : this.link.ask("PUT", `slices/${name}`, { ...spec, ...rates(spec, 1e6 * f.rate), max_latency: f.latency / 1e3, reliability: +f.reliability, priority: +f.priority }));
  }

  #open(title, kind, apply) {
    const said = form.querySelector(".said");
    form.querySelector("h2").textContent = title;
    for (const part of form.querySelectorAll(".create, .modify")) {
      part.hidden = !part.classList.contains(kind);
      for (const input of part.querySelectorAll("input, select")) input.disabled = part.hidden;
    }
    said.textContent = this.link.writes ? "" : "Read only: changes need the token.";
    form.querySelector("form").onsubmit = async event => {
      const what = event.submitter?.value ?? "ok";
      if (what === "cancel") return;
      event.preventDefault();
      try {
        await apply(Object.fromEntries(new FormData(event.target)), what);
        form.close();
      } catch (error) { said.textContent = error.message; said.className = "said bad-text"; }
    };
    said.className = "said";
    form.showModal();
  }
}

# SPDX-License-Identifier: Apache-2.0
"""Figures of the radio, the simulator, bags and the monitor, for `test_same_figures`."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from figures import COMPUTED, area, crc, numbers, short

from ir_bag.contents import Message, Topic
from ir_bag.qos_profiles import Profile
from ir_bag.reader import BagReader
from ir_bag.recomputation import JournalSegment, Recomputation, RecordedStatement
from ir_bag.writer import BagWriter
from ir_common.run_totals import RunTotals
from ir_drl.environments.task_env import TaskEnv
from ir_drl.policies import make_policy
from ir_radio.cell_tables import Fate
from ir_radio.coexistence.batch_run import simulate
from ir_radio.coexistence.joint_scheduling import Requirements, optimise
from ir_radio.coexistence.scenario import scenario
from ir_radio.engine import cell_journal as cell_journal
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import blocklength, channel
from ir_radio.model.access_scheme import Air, Computing, Handover
from ir_radio.model.arrivals import compound_poisson, poisson
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import TracePlayer, load_links
from ir_radio.model.profiles import load_profile, profile_names
from ir_radio.model.slice_specs import SliceSpec, TraceSpec
from ir_sim.sdf import compose
from ir_sim.sdf.mujoco_compiler import compile_world
from ir_sim.sdf.urdf import scenery_to_urdf, to_urdf
from ir_sim.simulation import Simulation
from ir_sim.tasks import make_task
from ir_twin.monitor.health import Health

ROOT = Path(__file__).resolve().parents[2]
WORLD = ROOT / "worlds" / "robot_field.sdf"
MS, SECOND = 1_000_000, 1_000_000_000
ROBOTS = ("cart", "spider", "hopper")
SLICES = (("video", "embb"), ("scan", "embb"), ("control", "urllc"))


def spec(name: str, kind: str, **changes: Any) -> SliceSpec:
    values = {"rate": 5e6, "max_latency": 0.005 if kind == "urllc" else 0.05, "reliability": 0.99} | changes
    return SliceSpec(name=name, type=kind, **({"queue_limit": 60_000} | values))


def busy_cell(carrier: Carrier, seed: int) -> tuple[Cell, list[int]]:
    """A cell with three slices, three robots and flows of them in both directions."""
    cell = Cell(carrier, seed=seed)
    for name, kind in SLICES:
        cell.set_slice(spec(name, kind))
    cell.set_allocation({"video": 24.0, "scan": 12.5, "control": 8.0})
    for k, robot in enumerate(ROBOTS):
        cell.set_pose(robot, (5.0 + 12.0 * k, 3.0 * k, 0.5))
    keys = [FlowKey(name, robot, "x", way) for name, _ in SLICES for robot in ROBOTS for way in ("uplink", "downlink")]
    return cell, [cell.flow(key) for key in keys]


def run_cell(cell: Cell, flows: list[int], seed: int) -> dict[str, Any]:
    """1.2 s of messages as they come, with poses, another allocation and a slice that goes; then as much in batch."""
    rng, events, reports = np.random.default_rng(seed), [], []
    kinds = np.array(flows) // (2 * len(ROBOTS))
    size = np.array([4000, 1200, 90])
    refused: Counter[str] = Counter()
    for step in range(60):
        if step == 30:
            events += cell.remove_slice("scan")
            cell.set_allocation({"video": 30.0, "control": 6.0})
        if step == 36:
            cell.set_slice(spec("scan", "embb", queue_limit=9000))
            flows = [cell.flow(cell.key(flow)) for flow in flows]
            cell.set_allocation({"video": 20.0, "scan": 10.0, "control": 6.0})
        for k, robot in enumerate(ROBOTS):
            cell.set_pose(robot, (5.0 + 12.0 * k + 0.8 * step, 3.0 * k + math.sin(step), 0.5))
        for time in np.sort(rng.integers(0, 20 * MS, 50)):
            flow = int(rng.choice(len(flows)))
            fate = cell.offer(flows[flow], int(rng.integers(1, 2 * size[kinds[flow]])), step * 20 * MS + int(time))[1]
            refused[fate.name] += 1
        events += cell.advance((step + 1) * 20 * MS)
        if step % 20 == 19:
            reports.append(cell.report())
    count, begin = 3000, cell.now
    chosen = rng.integers(len(flows), size=count)
    times = np.sort(rng.integers(begin, begin + SECOND, count))
    ends, fates = cell.run(np.array(flows)[chosen], rng.integers(1, 2 * size[kinds[chosen]]), times, begin + SECOND)
    last = cell.report()
    books = cell.counters()
    return {
        "said": dict(refused),
        "events": [len(events), dict(Counter(event.fate.name for event in events))],
        "event_times": short([event.time * 1e-9 for event in events]),
        "batch": {Fate(int(fate)).name: int((fates == fate).sum()) for fate in np.unique(fates)},
        "batch_delay": short((ends - times) * 1e-9),
        "next": cell.next_event() > cell.now,
        "books": books._asdict(),
        "slices": [
            [r.slice, r.counters.delivered, r.counters.queued, r.counters.dropped, r.resource_blocks, r.capacity,
             r.offered_rate, r.delivered_rate, r.utilisation, r.delay.count, r.delay.mean, r.delay.p50, r.delay.p99,
             r.delay.max,
             r.recent_delay.p50, r.recent_delay.p99, r.retransmissions, r.harq_failures, r.punctured_blocks,
             r.lost_bytes]
            for r in last.slices
        ],
        "flows": [
            [sum(getattr(row, name) * (i + 1) for i, row in enumerate(last.flows)) for name in
             ("expired", "deadline_missed", "retransmissions", "harq_failures")],
            short([row.delay.p99 for row in last.flows]), short([row.counters.delivered_bytes for row in last.flows]),
        ],
        "links": [[r.robot, r.distance, r.snr, r.rate, r.station, r.handovers] for r in last.links],
        "recent": short([row.recent_delay.p99 for report in reports for row in report.slices]),
        "utilisation": short([row.utilisation for report in reports for row in report.slices]),
    }  # fmt: skip


def carrier_of(scheduler: str) -> Carrier:
    """Of each scheduler another carrier, so that together they have everything."""
    small = {"bandwidth": 10e6, "resource_blocks": 52}
    there = {"neighbours": ((70.0, 0.0, 3.0),), "handover": Handover(hysteresis=1.0, time_to_trigger=0.04)}
    if scheduler == "reserved":
        return Carrier(**small, **there, shadowing=6.0, fading="rayleigh")
    if scheduler == "puncturing":
        air = Air(scheduler=scheduler, loss="convex", loss_exponent=2, block_error=0.05, packets_per_minislot=4)
        return Carrier(**small, **there, air=air, fading="rayleigh", coherence_slots=4)
    if scheduler == "putd":
        return Carrier(**small, air=Air(scheduler=scheduler, loss="threshold", loss_threshold=200, puncture="rotate"))
    if scheduler == "euad":
        air = Air(scheduler=scheduler, retransmissions=1, block_error=0.1)
        return Carrier(**small, air=air, computing=Computing(rate=8e6, shared=400, drop_after=3e-3), shadowing=3.0)
    return Carrier(**small, air=Air(scheduler=scheduler), computing=Computing(rate=20e6), scheduling_latency=1e-3)


@area(COMPUTED)
def radio_cell() -> dict[str, Any]:
    made = {}
    for number, scheduler in enumerate(("reserved", "puncturing", "putd", "euad", "fifo")):
        made[scheduler] = run_cell(*busy_cell(carrier_of(scheduler), number), seed=number)
    return made


@area(COMPUTED)
def radio_channel() -> dict[str, Any]:
    carrier, distance = Carrier(shadowing=5.0), np.array([0.3, 2.0, 17.0, 120.0, 900.0])
    snr, linear = channel.snr(carrier, distance), np.array([0.3, 3.0, 40.0])
    rng = np.random.default_rng(2)
    profiles = {name: load_profile(name) for name in profile_names()}
    return {
        "snr": snr,
        "rate": channel.block_rate(carrier, snr),
        "shadows": channel.Shadowing(carrier, np.random.default_rng(3)).at([(1.0, 2.0, 0.0), (30.0, -4.0, 1.0)]),
        "rayleigh": short(channel.rayleigh_fading(rng, (40,))),
        "error": blocklength.error(linear, 180, 256.0),
        "short_rate": blocklength.rate(linear, 180, 1e-5),
        "symbols": blocklength.symbols(8.0, 256.0, 4.2),
        "payload": blocklength.payload(8.0, 200.0, 4.2),
        "packet_error": blocklength.packet_error(2.0, 200.0, 256.0),
        "arrivals": [short(poisson(800.0, 0, SECOND, rng)), short(compound_poisson(300.0, 4.0, 0, SECOND, rng))],
        "profiles": {n: [p.slot_time, p.mini_slots, channel.block_rate(p, [0.0, 15.0])] for n, p in profiles.items()},
    }


@area(COMPUTED)
def radio_coexistence() -> dict[str, Any]:
    made = {}
    for scheduler in ("puncturing", "putd", "euad", "fifo"):
        scene = scenario(scheduler=scheduler, shared=600, loss="convex", packets_per_minislot=5, urllc_power=-97.0)
        out = simulate(scene, 150, 3)
        made[scheduler] = {
            "urllc": [out.urllc_delay, out.outage, out.dropped, out.outage_of_minislots, out.failed_minislots],
            "embb": [[out.embb_delay(user), out.embb_rate(user)] for user in (0, 7)],
            "ends": [short(out.packet_end), short(out.job_end), short(out.job_left)],
        }
    choice = optimise(scenario(embb_rate=4e6, batch_rate=300.0), Requirements(embb_rate=1e5, embb_delay=0.05), 60, [1])
    best = choice.best and [choice.best.shared, choice.best.packets_per_minislot, choice.best.puncture]
    return made | {"joint": [choice.tried, best, choice.reasons, choice.measure]}


@area(COMPUTED)
def radio_traces() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    rows = [
        f"2019.12.16_13.40.{s:02d},0,-103,-15,{rng.integers(-10, 25)},{rng.integers(0, 16)},"
        f"{rng.integers(0, 90_000)},{rng.integers(0, 9_000)}" for s in range(6)
    ]  # fmt: skip
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        header = "Timestamp,Speed,RSRP,RSRQ,SNR,CQI,DL_bitrate,UL_bitrate"
        (Path(folder) / "a.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        for column in ("SNR", "CQI", "DL_bitrate", "UL_bitrate"):
            trace = TraceSpec(robot="cart", trace="a.csv", column=column, start=1.0)
            links = load_links([trace], Path(folder), Carrier()).rates
            cell, player = Cell(Carrier()), TracePlayer(links)
            cell.set_slice(spec("a", "embb", queue_limit=10**8))
            cell.set_allocation({"a": 2.0})
            flow, done = cell.flow(FlowKey("a", "cart", "x", "uplink")), []
            for second in range(6):
                player.play(cell.now, cell.set_measured)
                fate = cell.offer(flow, 60_000, second * SECOND)[1]
                done += [fate.name, *(event.time * 1e-9 for event in cell.advance((second + 1) * SECOND))]
            made[column] = {"snr": links["cart"].snr, "rate": links["cart"].rate, "done": done}
    return made


@area(COMPUTED)
def simulator() -> dict[str, Any]:
    world = compose(WORLD)
    model = compile_world(world)
    made: dict[str, Any] = {
        "mass": float(model.body_mass.sum()),
        "sizes": [int(model.nq), int(model.nv), int(model.nu), int(model.ngeom), int(model.nsensor)],
        "inertia": short(model.body_inertia),
        "geoms": [short(model.geom_size), short(model.geom_friction), short(model.geom_pos)],
        "urdf": [numbers(to_urdf(name, robot.description)) for name, robot in sorted(world.robots.items())],
        "scenery": numbers(scenery_to_urdf(world, "map")),
    }
    for robot in ROBOTS:
        task = make_task(robot, world)
        bounds = [short(one) for one in (task.action_low, task.action_high, task.safe_action, task.action_scale)]
        names = [*task.observation_names, *task.action_names]
        made[f"{robot}_task"] = [task.name, task.control_period, len(names), crc(" ".join(names).encode()), *bounds]
    simulation = Simulation(world, 5, cameras=False)
    simulation.drive("cart", 0.4, 0.6)
    simulation.step(300)
    for robot in simulation.world.robots:
        sensors = simulation.sensors(robot)
        made[f"{robot}_sensors"] = [sensors.position, short(sensors.ranges)]
    return made


@area(COMPUTED)
def task_environments() -> dict[str, Any]:
    """Each robot under its policies.

    With the ground in the loop, the last digits that another processor makes otherwise are seen in the first ones after
    some time: so actions are rounded to a 64th, and trained policies, which react to everything, have fewer steps.
    """
    made = {}
    for robot, chosen, steps in [(robot, *one) for robot in ROBOTS for one in (("trained", 40), ("scripted", 100))]:
        env = TaskEnv(robot, WORLD, latency=0.006 if chosen == "scripted" else 0.0, goals=2)
        policy, rewards, causes = make_policy(env.task, Path(chosen), seed=3), [], Counter[str]()
        observation, _ = env.reset(seed=11)
        for _ in range(steps):
            action = np.round(policy.act(observation) * 64.0) / 64.0
            observation, reward, terminated, truncated, told = env.step(action)
            rewards.append(reward)
            if terminated or truncated:
                causes[told["cause"]] += 1
                observation, _ = env.reset()
                policy.reset(len(rewards))
        made[f"{robot}_{chosen}"] = [sum(rewards), short(rewards), dict(causes), short(observation), observation[:3]]
    return made


@area(COMPUTED)
def bags() -> dict[str, Any]:
    made: dict[str, Any] = {}
    rng = np.random.default_rng(6)
    content = [Message(f"/{n % 3}/x", 10**18 + 7 * MS * n, rng.bytes(int(rng.integers(8, 90)))) for n in range(400)]
    profile = Profile(depth=5, reliability="best_effort")
    for storage, compression in (("mcap", "zstd"), ("mcap", "lz4"), ("sqlite3", "none")):
        with tempfile.TemporaryDirectory() as folder:
            with BagWriter(Path(folder) / "bag", storage, compression=compression, distro="jazzy") as bag:
                for n in range(3):
                    bag.add_topic(Topic(f"/{n}/x", "std_msgs/msg/Int32", "int32 data\n", qos=(profile,)))
                for message in content:
                    bag.write(message)
            reader = BagReader(Path(folder) / "bag")
            read, summary = list(reader.messages(["/1/x", "/2/x"], content[50].time)), reader.summary
            metadata = (Path(folder) / "bag" / "metadata.yaml").read_text(encoding="utf-8")
        made[f"{storage}_{compression}"] = [
            len(read), crc(b"".join(m.data for m in read)), summary.counts, summary.end - summary.start,
            summary.problems, len(metadata.splitlines()),
        ]  # fmt: skip
    return made


@area(COMPUTED)
def journals() -> dict[str, Any]:
    """A cell that is repeated from its journal says what it said."""
    cell, flows = busy_cell(carrier_of("puncturing"), 3)
    cell = Cell(cell.carrier, mini_slots=4, seed=3)
    journal = cell_journal.journal_of(cell, 4, 0, 3)
    calls, said = cell_journal.JournaledCell(cell, journal).apply, []

    def report() -> None:
        made = calls("report")
        content = {r.slice: cell_journal._counts(r.counters) | {"delay_max": r.delay.max} for r in made.slices}
        names = {f"{r.robot}/{r.topic} {r.direction} {r.slice}": cell_journal._counts(r.counters) for r in made.flows}
        said.append(RecordedStatement("/radio/report", cell.now, {"slices": content, "flows": names}))

    for name, kind in SLICES:
        calls("set_slice", spec(name, kind))
    calls("set_allocation", {"video": 20.0, "scan": 10.0, "control": 8.0})
    flows = [calls("flow", FlowKey(name, "cart", "x", "uplink")) for name, _ in SLICES]
    calls("set_pose", "cart", (9.0, 2.0, 0.0))
    rng, time = np.random.default_rng(7), 0
    for number in range(300):
        time += int(rng.integers(0, MS))
        calls("offer", flows[number % 3], int(rng.integers(1, 3000)), time)
        if number % 100 == 99:
            report()
    first, lines = journal.take()
    rerun = Recomputation({"cell": cell_journal.CellReplay})
    rerun.read(JournalSegment("/radio/journal", "cell", first, lines))
    made = Counter(json.loads(line)[0] for line in lines.splitlines())
    return {"checks": rerun.compare(said), "calls": dict(made), "totals": rerun.totals()["slices"]["control"]}


def counted(offered: int, delivered: int, queued: int, **dropped: int) -> Any:
    """Books as messages have them."""
    pairs = {"offered": offered, "delivered": delivered, "queued": queued}
    fields = {f"{name}_{unit}": n * k for name, n in pairs.items() for unit, k in (("messages", 1), ("bytes", 100))}
    drops = [SimpleNamespace(reason=reason, messages=n, bytes=100 * n) for reason, n in sorted(dropped.items())]
    return SimpleNamespace(**fields, dropped=drops)


@area(COMPUTED)
def monitor() -> dict[str, Any]:
    totals, health = RunTotals(["cart", "spider"]), Health(0.0)
    lines = []
    for step, start in enumerate((0, 0, 0, 1, 1)):
        n = 10 * (step - 3 * start + 1)
        totals.update_clock(2.0 * step if step < 3 else 0.5 * step)
        delay = SimpleNamespace(mean=0.01 * n, p50=0.009, p99=0.03, max=math.nan)
        one = SimpleNamespace(
            slice="video", type=1, resource_blocks=20.0 + n, books=counted(3 * n, 2 * n, n - 2, queue_full=2),
            offered_rate=1e6 * n, delivered_rate=9e5 * n, delay=delay, recent_delay=delay,
        )  # fmt: skip
        totals.update_cell(SimpleNamespace(slices=[one] if step < 4 else []))
        totals.update_allocation(SimpleNamespace(sequence=n))
        names = ("distance", "reward", "episodes", "steps", "falls", "collisions", "goals", "stops")
        status = {name: float(n + k) if k < 2 else n + k for k, name in enumerate(names)}
        totals.robots["cart"].update_task(SimpleNamespace(task="cart_navigation", **status))
        verdicts = {"proposals": 5 * n, "accepted": 3 * n, "vetoed": n, "invalid": 1, "untested": n - 1}
        latency = {"latency_p50": 1e-3, "latency_p99": math.nan, "model_version": step}
        totals.robots["cart"].update_twin(SimpleNamespace(**verdicts, **latency))
        refused = {"refused_reasons": ["nan", "stale"], "refused": [n, 2]}
        federation = {"round": step, "participants": ["cart"], "silent": [], "bytes_up": 7 * n, "bytes_down": 9 * n}
        totals.update_federation(SimpleNamespace(**federation, **refused))
        totals.update_node(SimpleNamespace(name="/radio", process_id=start, host="h", restarts=0))
        present = {"/radio"} if step % 2 else set()
        seen = health.look(totals.processes, present, totals.simulated_seconds, 3.0 * step)
        lines += [[status.name, status.level, status.message] for status in seen]
    return {"report": totals.as_dict(3.0, {"seed": 1}), "health": lines}

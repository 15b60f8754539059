# SPDX-License-Identifier: Apache-2.0
"""One run of the whole stack in the model's time: the parts that the bringup's description names, in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from rosgraph_msgs.msg import Clock as ClockMessage

from ir_common.config import ConfigError, ConfigT, validate
from ir_common.journal import Journal
from ir_common.ros_time import to_stamp
from ir_common.run_totals import RunTotals
from ir_drl.controller import Controller
from ir_drl.controller_node import ControllerConfig
from ir_drl.live.live_agent import LiveAgent, agent_file
from ir_drl.live.live_config import LiveNodeConfig
from ir_drl.policies import make_policy
from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.radio_side import RadioPart
from ir_lab.model_time.ros_agent_side import AgentPart
from ir_lab.model_time.ros_bag_tap import BagTap, JournalPart
from ir_lab.model_time.ros_edge_side import ControllerPart, TwinPart
from ir_lab.model_time.ros_robot_side import OnBoardPart, SimulatorPart
from ir_lab.model_time.ros_samples import CommandSample, MessageSample, StateSample
from ir_lab.model_time.ros_slicing_side import AgentsPart, ManagerPart
from ir_lab.model_time.simulate_arguments import SimulateArguments
from ir_radio.engine.relay_config import RelayConfig, load_radio
from ir_radio.engine.relay_engine import RelayEngine
from ir_sim.bridge import load_rows, rows_for
from ir_sim.onboard import OnBoard
from ir_sim.readings import Reading
from ir_sim.robots_node import STATUS_PERIOD, RobotsConfig
from ir_sim.ros_task_messages import COMMAND_TYPES
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.simulator_node import SimulatorConfig
from ir_sim.tasks import robot_task
from ir_sim.tasks.base import Array
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerEngine
from ir_twin.bringup.description import describe
from ir_twin.bringup.spec import NodeSpec
from ir_twin.drift import DriftState
from ir_twin.inline_learner import InlineLearner
from ir_twin.ros_twin_messages import twin_status_message
from ir_twin.twin_config import TwinConfig
from ir_twin.twin_engine import TwinEngine

_LEFT_OUT = ("monitor", "dashboard", "robot_state")
"""Executables without a part here: the run's own report stands for the monitor, the others only show."""


class ModelRun:
    """The stack of one bringup in simulated time.

    The same arguments give the same report: nothing here looks at a clock of the host.

    Args:
        arguments: checked arguments.

    Attributes:
        totals: what the table shows and the report holds.
        world: composed world.
        tasks: by robot.
        agents: that learn live, by task.

    Raises:
        ConfigError: the description names a part that the model's time does not have, or the bag cannot be made.
    """

    def __init__(self, arguments: SimulateArguments) -> None:
        torch.set_num_threads(1)  # more would make sums whose order depends on the host
        torch.set_flush_denormal(bool(arguments.stack.learn))  # as training does: Adam's moments decay into them
        self._arguments = arguments
        self.totals = RunTotals(arguments.stack.names)
        self.totals.host.model_time = True
        self._agenda = Agenda()
        self._bus = Bus(self._agenda)
        self._bag = BagTap(self._bus, arguments.own.bag) if arguments.own.bag else None
        self._folder = tempfile.TemporaryDirectory(prefix="ir-simulate-")
        stack = arguments.stack.model_copy(update={"dashboard": "off", "report": None})
        nodes = describe(stack, Path(self._folder.name)).nodes
        self._compute = round(arguments.own.compute * NANOSECONDS)
        self.world = compose(stack.world, stack.robots)
        self.tasks = {name: robot_task(robot, self.world) for name, robot in self.world.robots.items()}
        self._side = "/edge" if stack.radio == "on" else ""
        self._radio: RadioPart | None = None
        self._twin: TwinEngine | None = None
        self._manager: ManagerPart | None = None
        self._onboard: dict[str, OnBoardPart] = {}
        self._journals: list[JournalPart] = []
        self.agents: dict[str, LiveAgent] = {}
        self._agent_files: dict[str, Path] = {}
        makers: dict[str, Callable[[NodeSpec], None]] = {
            "simulator": self._make_simulator, "robots": self._make_robots, "relay": self._make_relay,
            "manager": self._make_manager, "slice_agents": self._make_agents, "twin": self._make_twin,
            "controller": self._make_controller, "agent": self._make_agent,
        }  # fmt: skip
        for name in makers:  # in this order: each finds there what it stands on
            for spec in nodes:
                if spec.executable == name:
                    makers[name](spec)
        if lacking := [s.full_name for s in nodes if s.executable not in (*makers, *_LEFT_OUT)]:
            raise ConfigError(f"{', '.join(lacking)}: has no part in the model's time yet; use ./ir up")
        self._follow()

    # --- parts ---

    def _make_simulator(self, spec: NodeSpec) -> None:
        config = _config(SimulatorConfig, spec)
        rows = rows_for(load_rows(config.bridge_file), self.world)
        topics = {row.gz_topic_name: row.stack_topic[0] for row in rows if row.direction != "ROS_TO_GZ"}
        self._simulator = SimulatorPart(
            self._agenda,
            self._bus,
            self.world,
            config.seed,
            config.cameras,
            topics,
            config.adapt_cameras,
            self._warn,
        )
        if self._bag is not None:
            self._agenda.every(round(NANOSECONDS / config.clock_rate), self._publish_clock)

    def _make_robots(self, spec: NodeSpec) -> None:
        config = _config(RobotsConfig, spec)
        for name in self.world.robots:
            self._onboard[name] = OnBoardPart(
                self._agenda, self._bus, self._simulator, self.world, name, config.command_timeout, config.command_age
            )

    def _make_relay(self, spec: NodeSpec) -> None:
        config = _config(RelayConfig, spec)
        carrier, links = load_radio(config)
        relay = RelayEngine(
            carrier, config.robots, links.rates, mini_slots=config.mini_slots or None, delays=links.delays,
            seed=config.seed, edge_namespace=config.edge_namespace, journal=self._bag is not None, say=self._warn,
        )  # fmt: skip
        for note in links.notes:
            relay.notice(note)
        self._keep(spec, relay.journal)
        starts = {name: tuple(robot.start.position.tolist()) for name, robot in self.world.robots.items()}
        self._radio = RadioPart(
            self._agenda, self._bus, relay, config.pose_topic, config.pose_rate, config.report_rate, starts
        )
        for fault in self._arguments.faults:
            self._radio.schedule(fault)

    def _make_manager(self, spec: NodeSpec) -> None:
        assert self._radio is not None
        engine = ManagerEngine(_config(ManagerConfig, spec), self._agenda.now)
        self._keep(spec, engine.journal)
        self._manager = ManagerPart(self._agenda, self._bus, engine, self._radio, self._warn)

    def _make_agents(self, spec: NodeSpec) -> None:
        assert self._radio is not None and self._manager is not None
        blocks = self._radio.relay.cell.carrier.resource_blocks
        engine = AgentsEngine(_config(SliceAgentsConfig, spec))
        AgentsPart(self._bus, engine, self._manager, blocks, self._warn)

    def _make_twin(self, spec: NodeSpec) -> None:
        config = _config(TwinConfig, spec)
        learner = InlineLearner(config, self._warn, self._arguments.own.learning_steps)
        self._twin = TwinEngine(config, self.tasks, learner, self._warn, recorded=self._bag is not None)
        self._keep(spec, self._twin.journal)
        TwinPart(
            self._agenda, self._bus, self._twin, learner, self.tasks, config.edge_namespace, config.io_period,
            self._compute, self._warn, tells=self.tasks if self._bag else self._arguments.stack.learn,
        )  # fmt: skip

    def _make_controller(self, spec: NodeSpec) -> None:
        config = _config(ControllerConfig, spec)
        robot = config.robot.partition(":")[0]
        task = self.tasks[robot]
        policy = make_policy(task, config.policy_file, config.seed)
        controller = Controller(task, policy, robot, config.seed, config.input_timeout, config.exploration)
        ControllerPart(
            self._agenda, self._bus, controller, task, robot, config.edge_namespace, config.input_timeout, self._compute
        )

    def _make_agent(self, spec: NodeSpec) -> None:
        config = _config(LiveNodeConfig, spec)
        robots = [robot.partition(":")[0] for robot in config.robots]
        task = self.tasks[robots[0]]
        agent = LiveAgent(config, task, robots, self._warn)
        if self._arguments.stack.learn_folder is not None:
            self._agent_files[task.name] = agent_file(config.folder, task.name)
            if self._agent_files[task.name].exists():
                agent.load(self._agent_files[task.name], 0.0)
        self.agents[task.name] = agent
        AgentPart(
            self._agenda, self._bus, agent, robots, config.edge_namespace, config.io_period,
            self._arguments.own.agent_steps,
        )  # fmt: skip

    def _keep(self, spec: NodeSpec, journal: Journal | None) -> None:
        """Has an engine's journal in the bag; without one its lines are let go."""
        if journal is not None and self._bag is not None:
            self._journals.append(JournalPart(self._agenda, self._bus, spec.full_name, journal))
        elif journal is not None:
            self._agenda.every(NANOSECONDS, journal.clear)

    def _publish_clock(self) -> None:
        self._bus.publish("/clock", MessageSample(ClockMessage(clock=to_stamp(self._agenda.now))))

    def _warn(self, text: str) -> None:
        self.totals.warn(text)

    # --- a robot that the caller drives ---

    @property
    def seconds(self) -> float:
        """The present, s of simulated time."""
        return self._agenda.now / NANOSECONDS

    @property
    def simulation(self) -> Simulation:
        """The physics, to be looked at."""
        return self._simulator.simulation

    def listen(self, robot: str, take: Callable[[StateSample, bool], None]) -> None:
        """Has what a robot's controller would be told handed to ``take`` (state, whether it is the expected one)."""
        self._bus.listen(f"{self._side}/{robot}/state", lambda sample: take(sample, False))
        self._bus.listen(f"{self._side}/{robot}/expected_state", lambda sample: take(sample, True))

    def sensed(self, robot: str, topic: str, take: Callable[[Reading], None]) -> None:
        """Has every reading of a robot's sensor (its topic, such as ``scan``) that reaches the edge told."""
        self._bus.listen(f"{self._side}/{robot}/{topic}", lambda sample: take(sample.reading))

    def propose(self, robot: str, action: Array) -> None:
        """Proposes an action [num_action] for a robot now, as its controller would."""
        task = self.tasks[robot]
        topic = f"{self._side}/{robot}/{COMMAND_TYPES[task.command][0]}_proposed"
        self._bus.publish(topic, CommandSample(robot, task, action, self._agenda.now))

    def onboard(self, robot: str) -> OnBoard:
        """What runs on board of a robot, to be given faults."""
        return self._onboard[robot].onboard

    def drift(self, robot: str) -> DriftState | None:
        """What the twin finds of whether a robot is the one that it knows; None: it has no twin, or is not known."""
        return self._twin.drift(robot) if self._twin else None

    def rewards(self, robot: str) -> float:
        """Sum of a robot's rewards so far."""
        return self._onboard[robot].onboard.counters.reward

    def go_on(self, end: float) -> bool:
        """On to the next instant at which anything happens; false: that is after ``end``, s."""
        return self._go_on(round(end * NANOSECONDS))

    # --- totals ---

    def _follow(self) -> None:
        """Keeps the totals up to date, as the monitor does."""
        totals, bus = self.totals, self._bus
        bus.listen("/radio/report", lambda sample: totals.update_cell(sample.summary()))
        bus.listen("/slicing/allocation", lambda sample: totals.update_allocation(sample.content))
        bus.listen("/slicing/federation", lambda sample: totals.update_federation(sample.content))
        self._agenda.every(round(STATUS_PERIOD * NANOSECONDS), self._take_stock)

    def _take_stock(self) -> None:
        for topic, message in self._count():
            self._bus.publish(topic, MessageSample(message))

    def _count(self) -> list[tuple[str, Any]]:
        """Brings the totals up to the present; returns the statuses of robots and twins with their topics."""
        made: list[tuple[str, Any]] = []
        for name, robot in self.totals.robots.items():
            task_status = self._onboard[name].status()
            robot.update_task(task_status)
            made.append((f"/{name}/task_status", task_status))
            if self._twin is not None:
                twin_status = twin_status_message(name, self._twin.status(name), self._agenda.now)
                robot.update_twin(twin_status)
                made.append((f"{self._side}/{name}/twin_status", twin_status))
        for task, agent in self.agents.items():
            self.totals.update_agent(task, agent.status())
        self.totals.update_clock(self._agenda.now / NANOSECONDS)
        return made

    # --- time ---

    def run(self) -> Iterator[float]:
        """Runs to the end; gives the simulated time, s, about ten times a simulated second."""
        end = round(self._arguments.duration * NANOSECONDS)
        shown = 0
        while self._go_on(end):
            if self._agenda.now >= shown:
                shown = self._agenda.now + NANOSECONDS // 10
                yield self._agenda.now / NANOSECONDS
        self._agenda.pass_to(end)
        for journal in self._journals:
            journal.flush()
        if self._radio is not None:
            self._radio.report()
        while self._agenda.next <= end:
            self._agenda.run_next()
        self._take_stock()
        for task, file in self._agent_files.items():
            self.agents[task].save(file)
        self.close()

    def _go_on(self, end: int) -> bool:
        """On to the next instant at which anything happens; false: that is after the end."""
        due, output = self._agenda.next, self._simulator.next_output
        if min(due, output) > end:
            return False
        if output > due:
            self._agenda.run_next()
            return True
        self._agenda.pass_to(output)  # what sensors report at an instant comes before all else that is due then
        self._simulator.run_to(output)
        if self._agenda.next == output:
            self._agenda.run_next()
        return True

    def close(self) -> None:
        """Ends the bag, and removes the run's own files."""
        if self._bag is not None:
            self._bag.close()
            self._bag = None
        self._folder.cleanup()

    def to_end(self) -> dict[str, Any]:
        """Runs to the end; returns the report."""
        for _ in self.run():
            pass
        return self.report()

    def report(self) -> dict[str, Any]:
        """The report of the run up to now, as that of `./ir up`; how long it took the host is not in it."""
        self._count()
        report = self.totals.as_dict(0.0, {"words": list(self._arguments.words)})
        report["wall_seconds"] = None
        return report


def _config(model: type[ConfigT], spec: NodeSpec) -> ConfigT:
    """A node's configuration from its parameters in the description."""
    values = {name: value for name, value in spec.parameters.items() if name in model.model_fields}
    return validate(model, values, f"parameters of {spec.full_name}")

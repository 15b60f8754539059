# SPDX-License-Identifier: Apache-2.0
"""What a robot decides on board: control steps from its sensors' readings, what it does alone, asking for a reset.

The live node (`robots_node`) and a simulation in one process feed the same object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ir_sim.behaviours import behaviour_of
from ir_sim.readings import NANOSECONDS, JointStates, Odometry, Reading, Scan, Touch, Value
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.world import GROUND
from ir_sim.tasks import Episode, Sensors, Step, Task
from ir_sim.tasks.base import Array, roll_pitch_yaw, wrap
from ir_sim.watchdog import CommandWatchdog

START_DISTANCE, START_ANGLE = 0.1, 0.2  #: m, rad: so near to its start a robot counts as put back
PATIENCE = 2 * NANOSECONDS  #: after which it counts as put back wherever it is: something may have pushed it away


@dataclass
class RobotCounters:
    """What happened to a robot since its start, as `ir_interfaces/TaskStatus` carries it: metres, reward, counts."""

    distance: float = 0.0
    reward: float = 0.0
    episodes: int = 0
    steps: int = 0
    falls: int = 0
    collisions: int = 0
    goals: int = 0
    stops: int = 0


@dataclass(frozen=True)
class OnBoardOutput:
    """What follows from one reading, to be carried out in this order.

    Attributes:
        steps: control steps that it made, none or one; two where an episode ends and the next begins.
        stop: commands have stayed away for too long; from here on the robot acts on its own.
        command: [n_act], what the robot commands itself; None: nothing.
        reset: the robot asks to be put back to its start; `OnBoard.resume` has to follow.
    """

    steps: tuple[Step, ...] = ()
    stop: bool = False
    command: Array | None = None
    reset: bool = False


NOTHING = OnBoardOutput()


class OnBoard:
    """One robot's task, fed with its sensors' readings in order of time.

    A control step is made by the first reading of the task's trigger sensor at or after each control period. An episode
    that ends at a goal or by its time limit is followed by the next one's first step at the same instant. After an
    episode that ends with the robot in need of a reset, `needs_reset` is true and nothing more happens until `resume`.

    While nobody tells it anything valid, the robot acts on its own (`ir_sim.behaviours`): from an episode's begin to
    the first command, after a command that is the task's safe action, which says just that (so does a twin that vetoes
    and a controller that sees nothing), and once commands have stayed away for too long. It then commands itself at
    each control step what its behaviour wants, where that is not in force already, until a command comes.

    Args:
        name: of the robot.
        task: its task.
        start: where a reset puts its base link.
        goals: [n, 2] m.
        command_timeout: s of simulated time without a command after which the robot acts on its own; the task may know
            a shorter one.
        repeats: readings may come twice, as a paused Gazebo repeats joint states: an equal stamp is the same reading.
            False: each comes once, and an equal stamp says that the simulation was reset meanwhile.

    Attributes:
        counters: since the start.
        needs_reset: an episode ended so that the robot has to be put back.
        now: ns, stamp of the newest reading of the trigger sensor.
    """

    def __init__(
        self, name: str, task: Task, start: Pose, goals: Array, command_timeout: float, repeats: bool = True
    ) -> None:
        self.name, self.task = name, task
        self.counters = RobotCounters()
        self.needs_reset = False
        self.now = 0
        self._start = start
        self._returning = False  # put back, but no reading has shown it yet
        self._since = 0  # ns, readings before it are of an earlier life
        self._episode = Episode(task, goals)
        self._watchdog = CommandWatchdog(min(command_timeout, task.command_age))
        self._behaviour = behaviour_of(task)
        self._alone = True
        self._observation: Array | None = None  # of the newest control step
        self._repeats = repeats
        self._period = round(task.control_period * NANOSECONDS)
        self._action = task.safe_action
        self._triggered = False  # by any reading yet
        self._resumed_at = 0
        self._due = 0
        self._clear()

    def _clear(self) -> None:
        self._odometry: Odometry | None = None
        self._odometry_at = 0
        self._sensed: dict[str, Any] = {}  # fields of `Sensors`; those of a control step are made then
        self._touched: frozenset[str] = frozenset()

    @property
    def alone(self) -> bool:
        """Whether the robot acts on its own."""
        return self._alone

    @property
    def located_at(self) -> int:
        """ns, stamp of the newest odometry; 0: none has come."""
        return self._odometry_at

    @property
    def idle(self) -> bool:
        """Whether the robot lies where it ended, or has not yet been seen at its start."""
        return self.needs_reset or self._returning

    def feed(self, reading: Reading) -> OnBoardOutput:
        """Takes one reading of any of the robot's sensors; what no task uses (IMU, pictures) is passed over.

        Raises:
            ValueError: joint states lack a joint of the task; they change nothing.
        """
        value = reading.value
        self._take(reading.nanoseconds, value)
        if not isinstance(value, Scan if self.task.trigger == "scan" else JointStates):
            return NOTHING
        steps = self._control(reading.nanoseconds)
        if steps:
            self._observation = steps[-1].observation
        stop = self._watchdog.overdue(self.now)
        if stop:
            self._alone = True
            stop = not self.idle
            self.counters.stops += stop
        if not steps and not stop:
            return NOTHING
        own = self._act_alone(always=stop) if self._alone and not self.idle else None
        return OnBoardOutput(steps, stop, own, bool(steps) and self.needs_reset)

    def command(self, action: Array) -> Array | None:
        """Takes an action [n_act] from the robot's command topic, on which its own commands come back, too.

        Returns:
            What the robot commands itself in the place of the safe action; None: nothing.
        """
        if self._watchdog.is_echo(action):
            return None
        self._action = self.task.clip(action)
        if not self.needs_reset:  # one that lies where it fell is not owed any
            self._watchdog.heard(self.now)
        self._alone = bool((action == self.task.safe_action).all())
        return self._act_alone() if self._alone and not self.idle else None

    def resume(self) -> None:
        """The robot was put back: the next episode begins once odometry shows it there; older readings may come."""
        self.needs_reset, self._returning, self._resumed_at = False, True, self.now
        self._be_alone()

    def begin_anew(self) -> None:
        """The simulation begins anew, and the robot with it: what its sensors said so far is of before."""
        self._start_over(0)
        self._clear()
        self.now, self._triggered = 0, False

    def _be_alone(self) -> None:
        """As at the start: nobody has told the robot anything."""
        self._action, self._alone, self._observation = self.task.safe_action, True, None
        self._watchdog.disarm()

    def _act_alone(self, always: bool = False) -> Array | None:
        """What the robot commands itself; None: what it wants is in force already, and it is not to be sent always."""
        wanted = self.task.safe_action
        if self._observation is not None:
            wanted = self.task.clip(self._behaviour.act(self._observation))
        if not always and np.array_equal(wanted, self._action):
            return None
        self._action = wanted
        self._watchdog.sent(wanted)
        return wanted

    # ------------------------------------------------------------------ readings

    def _take(self, nanoseconds: int, value: Value) -> None:
        if isinstance(value, Odometry):
            self._take_odometry(nanoseconds, value)
        elif isinstance(value, JointStates):
            self._take_joint_states(value)
        elif isinstance(value, Scan):
            bearings = value.low + value.step * np.arange(len(value.ranges), dtype=np.float64)
            self._sensed.update(ranges=value.ranges, bearings=bearings)
        elif isinstance(value, tuple):
            self._take_contacts(nanoseconds, value)

    def _take_odometry(self, nanoseconds: int, value: Odometry) -> None:
        if self._returning and (self._at_start(value) or nanoseconds - self._resumed_at > PATIENCE):
            self._returning, self._since = False, nanoseconds
            self._clear()
        if self._odometry is not None and not self.idle and nanoseconds > self._odometry_at:
            self.counters.distance += float(np.linalg.norm(value.position - self._odometry.position))
        self._odometry, self._odometry_at = value, nanoseconds
        self._sensed.update(
            position=value.position,
            orientation=value.orientation,
            linear_velocity=value.linear,
            angular_velocity=value.angular,
        )

    def _at_start(self, value: Odometry) -> bool:
        x, y, z, w = value.orientation
        alike = abs(float(np.dot([w, x, y, z], self._start.quaternion)))
        away = float(np.linalg.norm(value.position - self._start.position))
        return away < START_DISTANCE and alike > math.cos(START_ANGLE / 2)

    def _take_joint_states(self, value: JointStates) -> None:
        if not self.task.joint_names:
            return
        missing = set(self.task.joint_names) - set(value.names)
        if missing:
            raise ValueError(f"joint states lack {sorted(missing)}")
        order = [value.names.index(joint) for joint in self.task.joint_names]
        self._sensed.update(joint_positions=value.positions[order], joint_velocities=value.velocities[order])

    def _take_contacts(self, nanoseconds: int, touches: tuple[Touch, ...]) -> None:
        """Takes all present contacts; counts those with a body that was not touched before, the ground excluded."""
        if self.idle or nanoseconds < self._since:
            return
        others: dict[str, Touch] = {}
        for touch in touches:
            for collision in (touch.first, touch.second):
                if collision.split("::")[0] not in (self.name, GROUND):
                    others[collision] = touch
        self.counters.collisions += len(others.keys() - self._touched)
        self._touched = frozenset(others)
        bearings = [self._bearing(touch.position) for touch in others.values()]
        self._sensed["bumps"] = np.array(bearings)

    def _bearing(self, position: Array) -> float:
        if self._odometry is None:
            return 0.0
        offset = position - self._odometry.position
        return float(wrap(np.arctan2(offset[1], offset[0]) - roll_pitch_yaw(self._odometry.orientation)[2]))

    # ------------------------------------------------------------------ control steps

    def _control(self, nanoseconds: int) -> tuple[Step, ...]:
        if self._triggered and nanoseconds <= self.now:
            if self._repeats and nanoseconds == self.now:
                return ()
            self._start_over(nanoseconds)
        self.now, self._triggered = nanoseconds, True
        if self.idle or nanoseconds < max(self._due, self._since) or self._odometry is None:
            return ()
        # on to the next multiple of the period: a late or lost reading does not shift the rhythm
        self._due = (nanoseconds // self._period + 1) * self._period
        if not self._episode.running:
            return (self._begin(),)
        step = self._episode.advance(Sensors(**self._sensed), self._action)
        self._count(step)
        if step.ended and not self.needs_reset:
            return step, self._begin()
        return (step,)

    def _start_over(self, nanoseconds: int) -> None:
        """Time was set back, maybe by one reading: the simulation was reset, and the robot with it."""
        self._episode.abandon()
        self._due, self._since = 0, 0
        self.needs_reset = self._returning = False
        self._touched = frozenset()
        self._be_alone()
        if self._repeats and self._odometry_at > nanoseconds:  # Gazebo's may come later than the first control step
            self._odometry = None

    def _begin(self) -> Step:
        self.counters.episodes += 1
        return self._episode.begin(Sensors(**self._sensed))

    def _count(self, step: Step) -> None:
        self.counters.steps += 1
        self.counters.reward += step.reward
        self.counters.falls += step.cause == "fall"
        self.counters.goals = self._episode.goals_reached
        self.needs_reset = self._episode.needs_reset(step)

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ir_sim.onboard import NOTHING, OnBoard
from ir_sim.readings import Imu, JointStates, Odometry, Reading, Scan, Touch
from ir_sim.sdf.poses import Pose
from ir_sim.tasks import CartNavigation, HopperHop
from ir_sim.watchdog import SilenceNotice

MS = 1_000_000
START = Pose(np.array([-6.0, 0.0, 0.0]))


def at(x, y=0.0):
    return Odometry(np.array([x, y, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3), np.zeros(3))


def clear():
    return Scan(-np.pi, np.pi / 6, 0.1, 8.0, np.full(12, np.inf))


def touch(first, second, x=1.0):
    return Touch(first, second, np.array([x, 0.0, 0.1]), np.array([1.0, 0.0, 0.0]), 0.0, 1.0)


class Robot(OnBoard):
    """Fed with values alone; `scan` and `joint_states` return the control steps that they make."""

    def put(self, nanoseconds, value):
        return self.feed(Reading(self.name, "", "", "", "", nanoseconds, value))

    def odometry(self, nanoseconds, value):
        assert self.put(nanoseconds, value) is NOTHING

    def contacts(self, nanoseconds, value):
        assert self.put(nanoseconds, value) is NOTHING

    def scan(self, nanoseconds, value):
        return self.put(nanoseconds, value).steps

    joint_states = scan


@pytest.fixture
def cart():
    onboard = Robot("cart", CartNavigation(), START, np.array([[10.0, 0.0], [20.0, 0.0]]), 0.5)
    onboard.odometry(0, at(0.0))
    return onboard


def test_first_scan_begins_the_episode_and_the_next_ends_a_step(cart):
    (first,) = cart.scan(100 * MS, clear())
    assert (first.episode, first.step) == (1, 0)
    cart.command(np.array([0.5, 9.0]))
    cart.odometry(150 * MS, at(0.1))
    (step,) = cart.scan(200 * MS, clear())
    assert step.step == 1 and step.action.tolist() == [0.5, 1.5], "as clipped by the robot"
    assert step.reward == pytest.approx(5 * 0.1 - 0.02 * (0.25 + 1))
    assert cart.counters.steps == 1 and cart.counters.distance == pytest.approx(0.1)


def test_nothing_happens_without_odometry():
    assert Robot("cart", CartNavigation(), START, np.empty((0, 2)), 0.5).scan(0, clear()) == ()


def test_readings_more_often_than_the_period_are_left_out(cart):
    made = [len(cart.scan(k * 10 * MS, clear())) for k in range(1, 101)]
    assert sum(made) == 10 + 1  # the first at once, then ten periods


def test_a_lost_reading_does_not_shift_the_rhythm(cart):
    times = [100, 200, 305, 400, 500]
    assert [len(cart.scan(t * MS, clear())) for t in times] == [1] * 5


def test_reached_goal_gives_the_last_and_the_next_first_step_at_once(cart):
    cart.scan(100 * MS, clear())
    cart.odometry(150 * MS, at(9.9))
    last, first = cart.scan(200 * MS, clear())
    assert (last.cause, last.step, first.episode, first.step) == ("goal", 1, 2, 0)
    assert first.observation[0] == pytest.approx(10.1)
    assert cart.counters.goals == 1 and not cart.needs_reset


def test_collision_waits_for_the_reset_whose_way_is_not_counted(cart):
    cart.scan(100 * MS, clear())
    cart.contacts(150 * MS, (touch("cart::base_link::body", "crate::link::c"),))
    output = cart.put(200 * MS, clear())
    (step,) = output.steps
    assert step.cause == "collision" and step.terminated and cart.needs_reset and output.reset
    assert cart.put(300 * MS, clear()) is NOTHING
    cart.resume()
    cart.odometry(310 * MS, at(0.0))  # sent before the reset
    assert cart.scan(350 * MS, clear()) == ()
    cart.odometry(400 * MS, at(-6.0))
    cart.contacts(390 * MS, (touch("cart::base_link::body", "crate::link::c"),))  # late
    assert cart.scan(390 * MS, clear()) == ()
    (first,) = cart.scan(400 * MS, clear())
    assert (first.episode, first.step) == (2, 0) and first.observation[4:].min() == 8.0
    assert cart.counters.distance == 0.0 and cart.counters.collisions == 1


def test_collisions_count_bodies_that_begin_to_touch(cart):
    crate = touch("cart::base_link::body", "crate::link::c")
    spider = touch("spider::base_link::body", "cart::base_link::body")
    ground = touch("cart::base_link::body", "ground::link::c")
    for contacts, total in (((ground,), 0), ((ground, crate), 1), ((crate,), 1), ((crate, spider), 2), ((), 2),
                            ((crate,), 3)):  # fmt: skip
        cart.contacts(50 * MS, contacts)
        assert cart.counters.collisions == total


def test_watchdog_speaks_once_for_each_silence(cart):
    def hear(milliseconds):
        return cart.put(milliseconds * MS, clear()).stop

    assert not hear(100) and not hear(2000), "never told anything, nothing to stop"
    cart.command(np.array([0.5, 0.0]))
    assert not hear(2400)
    assert hear(2500)
    assert not hear(2600) and not hear(9000)
    cart.command(np.zeros(2))  # its own, come back on the command topic
    assert not hear(9050)
    assert cart.scan(9100 * MS, clear())[0].action.tolist() == [0.0, 0.0]
    cart.command(np.array([0.5, 0.0]))
    assert hear(9700) and cart.counters.stops == 2


def test_a_robot_that_lies_where_it_fell_is_owed_no_commands_until_it_is_back(cart):
    """It does not act on its own there either; being put back may take for ever, as where the simulator died."""

    def commanded(begin, end):
        stops = []
        for milliseconds in range(begin, end, 100):
            if milliseconds % 1000 == 0:  # somebody at the edge goes on
                cart.command(np.array([0.5, 0.0]))
            stops.append(cart.put(milliseconds * MS, clear()).stop)
        return sum(stops)

    cart.scan(100 * MS, clear())
    cart.command(np.array([0.5, 0.0]))
    cart.contacts(150 * MS, (touch("cart::base_link::body", "crate::link::c"),))
    assert cart.put(200 * MS, clear()).reset
    assert commanded(300, 10_000) == 0
    cart.resume()
    assert commanded(10_000, 20_000) == 0, "nor while nothing shows it at its start"
    cart.command(np.array([0.5, 0.0]))
    cart.odometry(20_000 * MS, at(-6.0))
    assert not cart.put(20_000 * MS, clear()).stop
    assert cart.put(20_600 * MS, clear()).stop, "what came before counts as the first when it is back"
    assert cart.counters.stops == 1


def test_odometry_of_before_time_was_set_back_begins_no_episode(cart):
    """Gazebo's comes later than the first control step, and shows where the robot lay."""
    cart.odometry(4990 * MS, at(3.0))
    cart.scan(5000 * MS, clear())
    assert cart.scan(8 * MS, clear()) == () and cart.scan(16 * MS, clear()) == ()
    cart.odometry(50 * MS, at(-6.0))
    (first,) = cart.scan(56 * MS, clear())
    assert first.step == 0 and first.observation[0] == pytest.approx(16.0)


def test_time_set_back_starts_a_new_episode(cart):
    cart.odometry(4990 * MS, at(0.0))
    cart.scan(5000 * MS, clear())
    cart.odometry(20 * MS, at(3.0))
    (first,) = cart.scan(100 * MS, clear())
    assert (first.episode, first.step) == (2, 0)
    assert cart.counters.distance == 0.0


def test_a_simulation_that_begins_anew_has_readings_of_its_own_though_their_stamps_are_those_of_before(cart):
    assert cart.scan(100 * MS, clear())
    cart.begin_anew()
    assert not cart.scan(100 * MS, clear()), "the odometry is of before"
    cart.odometry(150 * MS, at(-6.0))
    (step,) = cart.scan(200 * MS, clear())
    assert (step.episode, step.step) == (2, 0)


def test_a_reset_that_sets_time_back_by_one_reading_is_one_where_none_comes_twice():
    cart = Robot("cart", CartNavigation(), START, np.empty((0, 2)), 0.5, repeats=False)
    cart.odometry(50 * MS, at(0.0))
    first = cart.scan(100 * MS, clear())
    cart.odometry(50 * MS, at(0.0))
    again = cart.scan(100 * MS, clear())
    assert [s.step for s in first + again] == [0, 0] and again[0].episode == first[0].episode + 1


def hopper():
    onboard = Robot("hopper", HopperHop(), START, np.empty((0, 2)), 0.5)
    onboard.odometry(0, at(0.0))
    return onboard


def joints(count=6):
    return JointStates(HopperHop().joint_names, np.zeros(count), np.zeros(count), np.zeros(count))


def test_a_paused_gazebo_that_repeats_a_reading_begins_no_episode():
    onboard = hopper()
    assert [s.step for k in (1, 2, 3) for s in onboard.joint_states(k * 8 * MS, joints())] == [0, 1, 2]
    onboard.command(np.ones(3))
    for _ in range(500):
        assert onboard.put(24 * MS, joints()) is NOTHING
    (step,) = onboard.joint_states(32 * MS, joints())
    assert (step.episode, step.step, step.action.tolist()) == (1, 3, [1.0] * 3)
    assert onboard.counters.episodes == 1


def test_a_repeated_reading_does_not_wake_a_robot_that_waits_for_its_reset(cart):
    cart.scan(100 * MS, clear())
    cart.contacts(150 * MS, (touch("cart::base_link::body", "crate::link::c"),))
    assert cart.put(200 * MS, clear()).reset
    assert cart.put(200 * MS, clear()) is NOTHING and cart.needs_reset


def test_the_first_reading_may_be_that_of_time_zero():
    assert [s.step for s in hopper().joint_states(0, joints())] == [0]


def test_readings_that_no_task_uses_are_passed_over(cart):
    imu = Imu(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3), np.zeros(3))
    assert cart.put(10 * MS, imu) is NOTHING and cart.now == 0
    assert cart.put(20 * MS, JointStates((), np.empty(0), np.empty(0), np.empty(0))) is NOTHING


def test_a_command_that_is_no_echo_counts_and_the_echo_is_awaited_once(cart):
    cart.command(np.array([0.5, 0.0]))
    assert cart.put(500 * MS, clear()).stop
    cart.command(np.array([0.3, 0.0]))  # between the stop and its echo
    cart.command(np.zeros(2))
    assert cart.scan(600 * MS, clear())[0].action.tolist() == [0.3, 0.0]
    cart.command(np.zeros(2))  # somebody's who wants it to stand
    assert cart.scan(700 * MS, clear())[0].action.tolist() == [0.0, 0.0]


class Leaning:
    """A behaviour whose action follows the height of the torso."""

    def act(self, observation):
        return np.array([observation[0] - 1.25, 0.25, 0.0])


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr("ir_sim.onboard.behaviour_of", lambda task: Leaning())
    return hopper()


def height(value):
    positions = np.array([0.0, value, 0.0, 0.0, 0.0, 0.0])
    return JointStates(HopperHop().joint_names, positions, np.zeros(6), np.zeros(6))


def own(onboard, step, value=0.0):
    command = onboard.put(step * 8 * MS, height(value)).command
    return None if command is None else command.tolist()


def test_a_robot_that_was_told_nothing_acts_on_its_own_until_a_command_comes(alone):
    assert own(alone, 1, 0.1) == pytest.approx([0.1, 0.25, 0.0])
    assert alone.command(np.array([0.1, 0.25, 0.0]) * (1 + 1e-12)) is None, "its own, through a message and back"
    assert own(alone, 2, 0.1) is None, "what it wants is in force"
    assert own(alone, 3, 0.2) == pytest.approx([0.2, 0.25, 0.0])
    assert alone.command(np.array([0.5, 0.5, 0.5])) is None
    (step,) = alone.joint_states(4 * 8 * MS, height(0.3))
    assert step.action.tolist() == [0.5, 0.5, 0.5]
    assert own(alone, 5, 0.3) is None and alone.counters.stops == 0


def test_the_safe_action_as_a_command_hands_over_to_the_robot_at_once(alone):
    own(alone, 1)
    alone.command(np.full(3, 0.5))
    own(alone, 2, 0.1)
    assert alone.command(np.zeros(3)).tolist() == pytest.approx([0.1, 0.25, 0.0])
    (step,) = alone.joint_states(3 * 8 * MS, height(0.1))
    assert step.action.tolist() == pytest.approx([0.1, 0.25, 0.0]), "never the safe action itself"
    assert own(alone, 4, 0.4) == pytest.approx([0.4, 0.25, 0.0])
    assert alone.command(np.full(3, 0.5)) is None and own(alone, 5, 0.4) is None


def test_a_hopper_whose_commands_stay_away_acts_on_its_own_long_before_the_watchdog_of_others(alone):
    own(alone, 1)
    alone.command(np.full(3, 0.5))
    within = round(HopperHop.command_age / HopperHop.control_period)
    assert [own(alone, 1 + k) for k in range(1, within)] == [None] * (within - 1)
    output = alone.put((1 + within) * 8 * MS, height(0.1))
    assert output.stop and output.command.tolist() == pytest.approx([0.1, 0.25, 0.0])
    assert not alone.put((2 + within) * 8 * MS, height(0.2)).stop and alone.counters.stops == 1


def test_a_robot_that_lies_does_nothing_and_begins_alone_when_it_was_put_back(alone):
    own(alone, 1)
    alone.command(np.full(3, 0.5))
    assert alone.put(2 * 8 * MS, height(-1.0)).reset
    assert alone.command(np.zeros(3)) is None and own(alone, 3) is None
    alone.resume()
    alone.odometry(4 * 8 * MS, at(-6.0))
    output = alone.put(5 * 8 * MS, height(0.2))
    assert output.steps[0].step == 0 and output.command.tolist() == pytest.approx([0.2, 0.25, 0.0])


def test_joint_states_in_another_order_and_missing_joints():
    task = HopperHop()
    onboard = Robot("hopper", task, START, np.empty((0, 2)), 0.5)
    onboard.odometry(0, at(0.0))
    values = np.arange(6.0)
    states = JointStates(task.joint_names[::-1], values[::-1], np.zeros(6), np.zeros(6))
    (first,) = onboard.joint_states(8 * MS, states)
    assert first.observation[:5].tolist() == [1 + 1.25, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="rootx"):
        onboard.joint_states(16 * MS, JointStates(("rooty",), np.zeros(1), np.zeros(1), np.zeros(1)))


def test_silence_is_told_once_until_commands_have_come_for_a_while():
    """A link that lets one command through now and then is one silence."""
    notice, second = SilenceNotice(), 1_000_000_000
    assert notice.stopped() and not notice.stopped()
    assert not notice.heard(10 * second) and not notice.heard(11 * second)
    assert not notice.stopped(), "they stayed away again before they were back"
    assert not notice.heard(13 * second) and not notice.heard(14 * second)
    assert notice.heard(15 * second) and not notice.heard(16 * second)
    assert notice.stopped()


def test_what_comes_and_goes_by_turns_for_ever_is_told_more_and_more_rarely():
    notice, words = SilenceNotice(), 0
    for second in range(0, 3600, 6):  # silence, then five seconds with commands, for an hour
        words += notice.stopped() + sum(notice.heard(at * 1_000_000_000) for at in range(second, second + 6))
    assert words == 5, "away, back, away, back, away"

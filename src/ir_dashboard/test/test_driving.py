# SPDX-License-Identifier: Apache-2.0
"""Seats, dead-man and round trip, with a clock in the test's hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_dashboard.driving import REPEAT, Desk, DrivingRefused, Limits, RoundTrip, Sight

LIMITS = Limits(backward=-0.5, forward=1.0, right=-1.5, left=1.5)
DEAD_MAN = 0.3


class Recorder:
    def __init__(self):
        self.sent, self.holds = [], []

    def send(self, robot, velocity):
        self.sent.append((robot, velocity))

    def hold(self, robot, held):
        self.holds.append((robot, held))


@pytest.fixture
def port():
    return Recorder()


@pytest.fixture
def desk(port):
    return Desk({"cart": LIMITS, "cart_2": LIMITS}, DEAD_MAN, port)


def test_stick_ends_are_the_robots_limits_and_beyond_is_clipped():
    assert LIMITS.velocity(1, 1) == (1.0, 1.5)
    assert LIMITS.velocity(-1, -1) == (-0.5, -1.5)
    assert LIMITS.velocity(7, -7) == (1.0, -1.5)
    assert LIMITS.velocity(0.5, 0) == (0.5, 0.0)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_position_that_is_not_finite_is_refused_and_sends_nothing(desk, port, wrong):
    desk.take("cart", "ann", 0.0)
    port.sent.clear()
    with pytest.raises(DrivingRefused, match="finite"):
        desk.command("cart", "ann", wrong, 0.0, 0.1)
    assert not port.sent


def test_taking_stops_the_robot_and_holds_its_controller(desk, port):
    assert desk.take("cart", "ann", 0.0) == ""
    assert port.holds == [("cart", True)] and port.sent == [("cart", (0.0, 0.0))]


def test_one_driver_at_a_time_and_taking_over(desk, port):
    desk.take("cart", "ann", 0.0)
    with pytest.raises(DrivingRefused, match="has a driver"):
        desk.take("cart", "bob", 0.1)
    with pytest.raises(DrivingRefused, match="do not drive"):
        desk.command("cart", "bob", 1.0, 0.0, 0.1)
    assert desk.take("cart", "bob", 0.2, over=True) == "ann"
    with pytest.raises(DrivingRefused, match="do not drive"):
        desk.command("cart", "ann", 1.0, 0.0, 0.3)
    with pytest.raises(DrivingRefused, match="another driver"):
        desk.release("cart", "ann", 0.3)
    desk.take("cart_2", "ann", 0.3)  # another robot is free
    assert desk.seats["cart"].driver == "bob" and desk.seats["cart_2"].driver == "ann"


def test_silence_stops_within_the_dead_man_and_not_before(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.command("cart", "ann", 1.0, 0.0, 1.0)
    port.sent.clear()
    desk.tick(1.0 + DEAD_MAN - 0.001)
    assert not port.sent
    desk.tick(1.0 + DEAD_MAN)
    assert port.sent == [("cart", (0.0, 0.0))] and desk.seats["cart"].stops == 1
    assert desk.seats["cart"].driver == "ann"


def test_stop_is_repeated_while_held_but_counted_once(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.command("cart", "ann", 1.0, 0.0, 0.0)
    for tick in range(101):
        desk.tick(0.02 * tick)
    stops = [velocity for _, velocity in port.sent[2:]]
    assert set(stops) == {(0.0, 0.0)}
    assert (2.0 - DEAD_MAN) / (REPEAT + 0.02) - 1 <= len(stops) <= (2.0 - DEAD_MAN) / REPEAT + 1
    assert desk.seats["cart"].stops == 1


def test_a_driver_that_vanishes_stops_the_robot_and_leaves_it_held(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.command("cart", "ann", 1.0, 0.0, 0.1)
    port.sent.clear()
    assert desk.lost("ann", 0.11) == ["cart"]
    assert port.sent == [("cart", (0.0, 0.0))]
    assert desk.seats["cart"].held and not desk.seats["cart"].driver
    assert port.holds == [("cart", True)]  # never let go by itself
    desk.release("cart", "bob", 5.0)  # anyone may
    assert port.holds[-1] == ("cart", False) and not desk.seats["cart"].held


def test_release_stops_then_lets_the_controller_go_on_and_ticks_send_nothing(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.command("cart", "ann", 1.0, 1.0, 0.1)
    desk.release("cart", "ann", 0.2)
    assert port.sent[-1] == ("cart", (0.0, 0.0)) and port.holds[-1] == ("cart", False)
    port.sent.clear()
    desk.tick(10.0)
    assert not port.sent


def test_unknown_robot_is_refused(desk):
    with pytest.raises(DrivingRefused, match="robots that can: cart, cart_2"):
        desk.take("spider", "ann", 0.0)


def test_controller_started_again_is_held_again(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.controller_ready("cart", enabled=True)
    assert port.holds == [("cart", True), ("cart", True)]
    desk.controller_ready("cart_2", enabled=True)  # nobody holds it
    assert len(port.holds) == 2


def test_controller_held_before_this_process_stays_held(desk, port):
    desk.controller_ready("cart", enabled=False)
    assert desk.seats["cart"].held
    desk.tick(0.0)
    assert port.sent == [("cart", (0.0, 0.0))]


def test_round_trip_by_hand():
    trip = RoundTrip()
    first, second = trip.mark((0.5, 0.0), 1.0), trip.mark((0.5, 0.0), 1.1)
    assert first != second
    assert trip.echo(first, 1.25) == pytest.approx(0.25)
    assert trip.echo(first, 1.35) is None  # the same command again is no news
    assert trip.echo((0.3, 0.0), 1.4) is None  # somebody else's
    assert trip.echo(second, 1.5) == pytest.approx(0.4)
    assert trip.last == pytest.approx(0.4)
    assert trip.quantile(0.5) == pytest.approx(0.25) and trip.quantile(0.99) == pytest.approx(0.4)


def test_overtaken_commands_are_forgotten():
    trip = RoundTrip()
    old, new = trip.mark((1.0, 0.2), 0.0), trip.mark((1.0, 0.2), 0.1)
    assert trip.echo(new, 0.2) == pytest.approx(0.1)
    assert trip.echo(old, 0.3) is None


axis = st.floats(-2, 2).map(lambda v: 0.0 if abs(v) < 1e-3 else v)


@settings(deadline=None)  # of a busy machine
@given(st.lists(st.tuples(axis, axis), max_size=300))
def test_marked_commands_differ_hardly_never_grow_and_a_stop_is_a_stop(wishes):
    trip = RoundTrip()
    for wish in wishes:
        marked = trip.mark(wish, 0.0)
        assert all(abs(m) <= abs(w) and abs(m - w) <= 1e-3 * abs(w) for m, w in zip(marked, wish, strict=True))
        assert (marked == (0.0, 0.0)) == (wish == (0.0, 0.0))


@given(st.tuples(axis, axis).filter(any))
def test_the_same_wish_is_told_apart_as_long_as_it_is_remembered(wish):
    trip = RoundTrip()
    assert len({trip.mark(wish, 0.0) for _ in range(200)}) == 200


def test_what_is_seen_late_slows_then_locks(desk, port):
    desk.take("cart", "ann", 0.0)
    for age, left in ((0.0, 1.0), (0.4, 1.0), (0.8, 0.5), (1.2, 0.0), (9.0, 0.0)):
        desk.command("cart", "ann", 1.0, 1.0, 1.0, age=age)
        forward, turn = port.sent[-1][1]
        assert forward == pytest.approx(left, abs=2e-3) and turn == pytest.approx(1.5 * left, abs=3e-3)
        assert desk.seats["cart"].limited == ("sight" if left < 1 else "")


def test_the_desk_itself_knows_when_pictures_or_states_stay_away(desk, port):
    desk.take("cart", "ann", 0.0)
    desk.pictured("cart", 0.1, 1.0)
    desk.echo("cart", (0.0, 0.0), 1.0)
    desk.command("cart", "ann", 1.0, 0.0, 1.1, age=0.0)
    assert port.sent[-1][1][0] > 0.99
    desk.echo("cart", (0.0, 0.0), 3.0)  # states go on
    desk.command("cart", "ann", 1.0, 0.0, 3.0, age=0.0)
    assert port.sent[-1][1] == (0.0, 0.0) and desk.seats["cart"].limited == "sight"


def test_commands_that_nothing_is_heard_of_slow(desk, port):
    desk.take("cart", "ann", 0.0)
    for tick in range(22):
        desk.command("cart", "ann", 1.0, 0.0, 0.05 * tick)
    speeds = [velocity[0] for _, velocity in port.sent[1:]]
    assert speeds[8] == pytest.approx(speeds[0], rel=1e-3) and speeds[16] == pytest.approx(speeds[0] / 2, rel=0.01)
    assert speeds[16] > speeds[20] > 0 and desk.seats["cart"].limited == "link"


def test_a_command_that_is_too_old_is_counted_and_not_carried_out(desk, port):
    desk.take("cart", "ann", 0.0)
    sent = len(port.sent)
    desk.command("cart", "ann", 1.0, 0.0, 1.0, at=0.6)
    assert len(port.sent) == sent and desk.seats["cart"].refused == 1
    desk.tick(1.0)
    assert desk.seats["cart"].heard == 0.0  # it is silence to the dead-man
    desk.command("cart", "ann", 1.0, 0.0, 1.0, at=0.9)
    assert port.sent[-1][1][0] > 0.99 and desk.seats["cart"].refused == 1


def test_a_joystick_takes_a_free_seat_by_moving_and_heeds_age_and_limits(desk, port):
    desk.joystick("cart", (0.0, 0.0), 0.0)
    assert not port.sent and not desk.seats["cart"].held  # at rest it takes nothing
    desk.joystick("cart", (0.25, -0.5), 0.1)
    assert port.sent[-1][1] == pytest.approx((0.25, -0.5), rel=2e-3) and port.holds == [("cart", True)]
    desk.joystick("cart", (9.0, 0.0), 0.2, at=0.15)
    assert port.sent[-1][1][0] == pytest.approx(LIMITS.forward, rel=2e-3)
    desk.joystick("cart", (0.1, 0.0), 1.0, at=0.5)
    assert desk.seats["cart"].refused == 1 and port.sent[-1][1][0] > 0.4
    desk.take("cart", "ann", 1.1, over=True)
    desk.joystick("cart", (0.1, 0.0), 1.2)  # somebody else drives now
    assert port.sent[-1][1] == (0.0, 0.0)


def test_a_driver_is_told_that_he_is_steered(port):
    class Past:
        def limit(self, wish, sent, delay, late, now):
            return wish[0], wish[1] + 0.5

    desk = Desk({"cart": LIMITS}, DEAD_MAN, port, guards={"cart": Past()})
    desk.take("cart", "ann", 0.0)
    desk.command("cart", "ann", 1.0, 0.0, 0.1)
    assert desk.seats["cart"].limited == "steered" and port.sent[-1][1][1] == pytest.approx(0.5, rel=1e-2)


@given(st.floats(-1, 1), st.floats(-1, 1))
@settings(deadline=None)
def test_position_is_the_inverse_of_velocity(forward, turn):
    assert LIMITS.position(LIMITS.velocity(forward, turn)) == pytest.approx((forward, turn))


def test_guards_are_heeded_only_while_they_are_to_be(port):
    class Wall:
        def limit(self, wish, sent, delay, late, now):
            return 0.0, wish[1]

    desk = Desk({"cart": LIMITS}, DEAD_MAN, port, guards={"cart": Wall()})
    desk.take("cart", "ann", 0.0)
    for heeded, expected in ((True, 0.0), (False, 1.0), (True, 0.0)):
        desk.lessen(heeded, Sight())
        desk.command("cart", "ann", 1.0, 0.0, 0.1)
        assert port.sent[-1][1][0] == pytest.approx(expected, rel=1e-3)
        assert desk.seats["cart"].limited == ("guard" if heeded else "")


def test_how_old_sight_may_be_is_changed_while_somebody_drives(desk, port):
    desk.take("cart", "ann", 0.0)
    for sight, expected in ((Sight(0.4, 1.2), 0.0), (Sight(2.0, 3.0), 1.0)):
        desk.lessen(True, sight)
        desk.command("cart", "ann", 1.0, 0.0, 0.1, age=1.5)
        assert port.sent[-1][1][0] == pytest.approx(expected, rel=1e-3)

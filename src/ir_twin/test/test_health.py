# SPDX-License-Identifier: Apache-2.0
"""Health of the stack from announcements, graph and clock."""

from diagnostic_msgs.msg import DiagnosticStatus

from ir_common.diagnosis import ERROR, OK, WARN
from ir_twin.monitor.health import RECENT, STANDSTILL, Health

ONCE = {"/radio": [("here", 5)], "/twin": [("there", 6)]}


def test_levels_are_those_of_the_message():
    assert [ord(level) for level in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)] == [
        OK,
        WARN,
        ERROR,
    ]


def levels(health, processes, present, simulated, now):
    return {status.name: status.level for status in health.look(processes, present, simulated, now)}


def test_a_node_that_left_is_an_error_and_one_that_came_back_a_warning_for_a_while():
    health = Health(0.0)
    both = {"/radio", "/twin"}
    assert levels(health, ONCE, both, 1.0, 1.0) == {"ir: clock": OK, "ir: /radio": OK, "ir: /twin": OK}
    assert levels(health, ONCE, {"/twin"}, 2.0, 2.0)["ir: /radio"] == ERROR
    again = ONCE | {"/radio": [("here", 5), ("here", 7)]}
    (radio,) = [status for status in health.look(again, both, 3.0, 3.0) if status.name == "ir: /radio"]
    assert (radio.level, radio.host, radio.values) == (WARN, "here", {"process id": "7", "restarts": "1"})
    assert levels(health, again, both, 4.0, 3.0 + RECENT + 0.1)["ir: /radio"] == OK


def test_a_clock_that_stands_still_is_an_error_until_it_goes_on():
    health = Health(0.0)
    assert levels(health, {}, set(), 5.0, 1.0) == {"ir: clock": OK}
    assert levels(health, {}, set(), 5.0, 1.1 + STANDSTILL) == {"ir: clock": ERROR}
    assert levels(health, {}, set(), 0.1, 5.0) == {"ir: clock": OK}  # a simulation that began anew

# SPDX-License-Identifier: Apache-2.0
"""Puts robots back by taking them out of the world and into it again: pose, joints and velocities as at the start.

For a simulator that answers when it accepts. A robot is gone when its odometry has been silent for long enough, and
there again when it speaks; what does not come about is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

AGAIN = 1.0
"""s of wall time after which a request without consequence is made again, if simulated time went on meanwhile."""
TOLD_AT = 5
"""Requests in vain after which it is said that a robot does not come back."""


@dataclass
class _Respawn:
    asked: float  #: s of wall time of the last request
    asked_at: int  #: ns of simulated time of it
    last: int  #: ns of simulated time of its newest reading, or of the request to remove it
    created: int = -1  #: ns of simulated time at which it was put in; -1: it is being taken out
    begun: bool = False  #: a request was made
    tries: int = 0
    done: list[Callable[[], None]] = field(default_factory=list)


class Respawns:
    """The robots that are being put back.

    Args:
        silence: ns of simulated time by robot, without any odometry of it, after which it is not in the world.
        remove: asks the simulator to take a robot out, by its name.
        create: asks it to put one in, at its start.
        tell: takes a robot's name and a number of requests, when so many were in vain; once for each way back.
        clock: wall clock, s.
    """

    def __init__(
        self, silence: Mapping[str, int], remove: Callable[[str], None], create: Callable[[str], None],
        tell: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._silence, self._remove, self._create, self._tell = dict(silence), remove, create, tell
        self._clock = clock
        self._open: dict[str, _Respawn] = {}
        self._replaced: set[str] = set()  # put in since Gazebo's start

    @property
    def open(self) -> frozenset[str]:
        """Names of the robots that are on their way back."""
        return frozenset(self._open)

    def ask(self, name: str, now: int, done: Callable[[], None]) -> None:
        """Begins to put a robot back, unless that is under way.

        Args:
            name: of the robot.
            now: ns of simulated time.
            done: called when it was asked to be put in, so that whoever commands it is ready when it is there.
        """
        one = self._open.setdefault(name, _Respawn(self._clock(), now, now))
        if one.created < 0:
            one.done.append(done)
        else:
            done()

    def saw(self, name: str, stamp: int) -> None:
        """A reading of a robot's odometry came, of `stamp` ns."""
        one = self._open.get(name)
        if one is None:
            return
        if one.created < 0:
            one.last = max(one.last, stamp)
        elif stamp > one.created:
            del self._open[name]

    def progress(self, now: int) -> None:
        """Goes on with all at `now`, ns of simulated time.

        The first request waits until time goes on: a world that stands may be about to begin anew.
        """
        for name, one in self._open.items():
            if not one.begun:
                if now > one.asked_at:
                    one.begun = True
                    self._request(one, now, self._remove, name)
            elif one.created < 0 and now - one.last > self._silence[name]:
                one.created = now
                self._replaced.add(name)
                self._request(one, now, self._create, name)
                self._tell_ready(one)
            elif self._clock() - one.asked > AGAIN and now - one.asked_at > self._silence[name]:
                one.tries += 1
                if one.tries == TOLD_AT:
                    self._tell(name, TOLD_AT)
                self._request(one, now, self._remove if one.created < 0 else self._create, name)

    def _request(self, one: _Respawn, now: int, what: Callable[[str], None], name: str) -> None:
        one.asked, one.asked_at = self._clock(), now
        what(name)

    def _tell_ready(self, one: _Respawn) -> None:
        for done in one.done:
            done()
        one.done.clear()

    def begin_anew(self) -> None:
        """The world began anew at time zero, and all robots with it.

        Gazebo then has the robots of its first start, but those that were put in meanwhile come back without their
        plug-ins, and a request to remove one may have been accepted before and be carried out now. Such robots are put
        in once more.
        """
        down = {name for name, one in self._open.items() if one.begun} | self._replaced
        for one in self._open.values():
            self._tell_ready(one)
        self._open = {name: _Respawn(self._clock(), 0, 0, begun=True) for name in down}
        for name in down:
            self._remove(name)

# SPDX-License-Identifier: Apache-2.0
"""How large and how often a camera's pictures are, so that its slice carries them without a queue.

Additive increase, multiplicative decrease (D. Chiu, R. Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989), here on a ladder of bit rates: two steps down where pictures queue or
are dropped, one step up after a calm while. A step up that leads to congestion is taken back, and the next calm while
is twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ir_sim.readings import Reading, Shot

LADDER = ((1.0, 1), (0.75, 1), (0.75, 2), (0.5, 2), (0.5, 3), (0.35, 3), (0.35, 5), (0.25, 5))
"""Share of width and height, and that every n-th picture is sent; the bits fall by about a third a step."""
QUEUE = 0.15
"""s of pictures that wait, over which they are too many; two always wait for a good reason."""
SETTLE = 1.0
"""s that a step down is given to show."""
CALM, LONGEST_CALM = 3.0, 24.0
"""s without congestion before a step up is tried."""


@dataclass
class _Stream:
    """One camera's pictures."""

    step: int = 0
    count: int = 0
    offered: int = 0
    queued: int = 0
    dropped: int = 0
    told: float = 0.0
    changed: float = 0.0
    calm: float = CALM
    tried: bool = False


class PictureRate:
    """Sizes and rates of all cameras of a simulation; times are s of simulated time."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}

    def take(self, topic: str, reading: Reading) -> Reading | None:
        """The shot to be rendered in place of one; None: it is left out.

        Args:
            topic: on which its picture is published, `/robot/…`.
            reading: with a `Shot`.
        """
        stream = self._streams.get(topic)
        if stream is None or stream.step == 0 or not isinstance(reading.value, Shot):
            return reading
        share, every = LADDER[stream.step]
        stream.count += 1
        if stream.count % every:
            return None
        width, height = (max(16, 2 * round(share * size / 2)) for size in (reading.value.width, reading.value.height))
        return replace(reading, value=replace(reading.value, width=width, height=height))

    def step(self, topic: str) -> int:
        """Where on the ladder a camera is; 0: at its full rate."""
        return self._streams[topic].step if topic in self._streams else 0

    def report(self, topic: str, offered: int, queued: int, dropped: int, now: float) -> None:
        """Takes what the radio says of a camera's flow.

        Args:
            topic: as of `take`.
            offered: messages since the radio's start.
            queued: messages that wait now.
            dropped: messages given up since the start.
            now: time of the report.
        """
        stream = self._streams.setdefault(topic, _Stream(offered=offered, dropped=dropped, told=now, changed=now))
        if now <= stream.told or offered < stream.offered or dropped < stream.dropped:  # a radio that began anew
            stream.offered, stream.dropped, stream.told = offered, dropped, now
            return
        rate = (offered - stream.offered) / (now - stream.told)
        congested = dropped > stream.dropped or queued > max(2.0, QUEUE * rate)
        drains = dropped == stream.dropped and queued < stream.queued  # what was done already helps
        stream.offered, stream.queued, stream.dropped, stream.told = offered, queued, dropped, now
        since = now - stream.changed
        if congested and since >= SETTLE and not drains:
            if stream.tried:  # back to what went well, for longer
                stream.calm = min(2 * stream.calm, LONGEST_CALM)
            down = 1 if stream.tried else 2
            stream.step, stream.changed, stream.tried = min(stream.step + down, len(LADDER) - 1), now, False
        elif congested:
            stream.changed = max(stream.changed, now - SETTLE)
        elif stream.step and since >= stream.calm:
            if stream.tried:  # the last step up went well
                stream.calm = max(CALM, stream.calm / 2)
            stream.step, stream.changed, stream.tried = stream.step - 1, now, True

# SPDX-License-Identifier: Apache-2.0
"""Fan-out: everyone gets the same text, and a slow viewer only harms itself."""

import asyncio
import time

from ir_dashboard.hub import BACKLOG, WINDOW, Hub


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 10))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def nothing(since):
    raise AssertionError("nobody fell behind")


class Wire:
    def __init__(self):
        self.texts, self.images = [], []

    async def text(self, text):
        self.texts.append(text)

    async def image(self, frame):
        self.images.append(frame)


def test_a_viewer_that_is_a_little_late_misses_nothing():
    async def scenario():
        hub, wire = Hub(), Wire()
        with hub.viewer(nothing) as viewer:
            pump = asyncio.create_task(viewer.pump(wire.text, wire.image))
            for n in range(WINDOW + BACKLOG):
                viewer.put(str(n))
                await settle()
            viewer.seen(WINDOW)
            await settle()
            assert wire.texts == [str(n) for n in range(WINDOW + BACKLOG)]
            pump.cancel()

    run(scenario)


def test_every_viewer_gets_the_very_same_text():
    async def scenario():
        hub, wires = Hub(), [Wire(), Wire()]
        hub.open()
        with hub.viewer(nothing) as a, hub.viewer(nothing) as b:
            pumps = [asyncio.create_task(v.pump(w.text, w.image)) for v, w in zip((a, b), wires, strict=True)]
            await asyncio.to_thread(hub.publish, "picture", {0: b"jpeg"})
            await settle()
            assert hub.viewers == 2
            assert wires[0].texts == wires[1].texts == ["picture"] and wires[0].texts[0] is wires[1].texts[0]
            assert wires[0].images == [b"jpeg"]
            for pump in pumps:
                pump.cancel()
        assert hub.viewers == 0

    run(scenario)


def test_a_viewer_that_does_not_say_it_saw_gets_no_more_until_it_does_and_then_everything():
    async def scenario():
        hub, wire, asked = Hub(), Wire(), []

        def everything(since):
            asked.append(since)
            return ["everything", "seats"]

        began = time.monotonic()
        with hub.viewer(everything) as viewer:
            pump = asyncio.create_task(viewer.pump(wire.text, wire.image))
            for n in range(WINDOW + 50):
                viewer.put(str(n))
                viewer.put_image(0, b"%d" % n)
                await settle()
            assert wire.texts == [str(n) for n in range(WINDOW)]
            images = len(wire.images)
            viewer.seen(10**9)  # no more than were sent
            await settle()
            assert wire.texts[WINDOW:] == ["everything", "seats"]
            assert wire.images[images:] == [b"%d" % (WINDOW + 49)]
            assert len(asked) == 1 and began <= asked[0] <= time.monotonic()
            viewer.put("next")
            await settle()
            assert wire.texts[-1] == "next"
            pump.cancel()

    run(scenario)


def test_publishing_before_and_after_the_loop_is_dropped_in_silence():
    hub = Hub()
    hub.publish("early", {})

    async def scenario():
        hub.open()

    run(scenario)
    hub.publish("the loop is closed", {})
    hub.close()
    hub.publish("late", {})

# SPDX-License-Identifier: Apache-2.0
"""Messages through the relay, in real processes, against what the engine schedules; a plain rclpy relay beside it.

For each load a source process sends stamped messages and a sink process notes when they come, first through the relay,
then through a plain rclpy relay. The excess is the delay beyond what the engine, run on the same stamps, has for each
message: both hops through the middleware, and what the relay's process is late.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from _radio_live import HEADROOM, ROBOT, Live, Sent, own_domain, scheduled, slice_spec, undisturbed
from harness import Axis, Goal, Options, Result, interval, main
from PIL import Image

from ir_radio.cell_tables import Fate
from ir_radio.model.carrier import Carrier

SPECS = [slice_spec("control", "urllc", ["state"]), slice_spec("video", "embb", ["camera"])]
BLOCKS = {"control": 50.0, "video": 150.0}
DISTANCE = 5.0
FRAMES, VIDEO_RATE = 30.0, 45e6


def jpeg(size: int) -> bytes:
    """A real JPEG file of at most `size` bytes, filled up to it."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (360, 480, 3), np.uint8))
    for quality in range(95, 1, -3):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        if len(out.getvalue()) <= size:
            return out.getvalue().ljust(size, b"\0")
    raise ValueError(f"no JPEG of {size} bytes")


def loads() -> dict[str, tuple[str, float, int, bytes]]:
    """Name -> (topic, messages per second, bytes, contents)."""
    frame = int(VIDEO_RATE / 8 / FRAMES)
    return {
        "1,000/s of 256 B": ("state", 1000.0, 256, b""),
        "4,000/s of 256 B": ("state", 4000.0, 256, b""),
        "45 Mb/s of JPEG": ("camera", FRAMES, frame, jpeg(frame - HEADROOM)),
    }


def measure(live: Live, load: tuple[str, float, int, bytes], seconds: float, plain: bool) -> dict[str, float]:
    """One load through one of the two relays; times in ms."""
    topic, rate, size, contents = load
    count = int(rate * seconds)
    due = (np.arange(count) * 1e9 / rate).astype(np.int64)
    name = f"/plain/{topic}" if plain else f"/{ROBOT}/{topic}"
    sent = live.send([name], topic == "state", np.zeros(count, np.int64), np.full(count, size), due, contents)
    came = sent.came >= 0
    delay = (sent.came - sent.sent)[came] * 1e-6
    times, fates = _scheduled(sent, topic)
    excess = (sent.came - times)[came] * 1e-6
    lost = int(np.sum(~came & (fates == Fate.DELIVERED)))
    reached = (
        float(sent.size[came].sum() * 8 / max((sent.came[came].max() - sent.sent[0]) * 1e-9, 1e-9))
        if came.any()
        else 0.0
    )
    return {
        "sent per second": count / ((sent.sent[-1] - sent.sent[0]) * 1e-9 + 1 / rate), "lost": lost, "messages": count,
        "delivered, Mb/s": reached * 1e-6,
        **{f"delay p{p}": float(np.percentile(delay, p)) for p in (50, 99)},
        **{f"excess p{p}": float(np.percentile(excess, p)) for p in (50, 99)},
        "scheduled p50": float(np.percentile((times - sent.sent)[came] * 1e-6, 50)),
    }  # fmt: skip


def _scheduled(sent: Sent, topic: str) -> tuple[Any, Any]:
    spec = SPECS[0] if topic == "state" else SPECS[1]
    return scheduled(Carrier(), SPECS, BLOCKS, DISTANCE, [spec.name], sent)


def run(options: Options) -> Result:
    """All loads through both relays, in turns."""
    own_domain()
    seconds = 1.5 if options.quick else 2.0
    cases = loads()
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {"relay": [], "plain rclpy": []} for name in cases}
    with Live() as live:
        live.set(SPECS, BLOCKS, DISTANCE)
        live.plain(["/plain/state"], True)
        live.plain(["/plain/camera"], False)
        for name, load in cases.items():
            for _ in options.seed_list:
                for which, kept in found[name].items():
                    kept.append(measure(live, load, seconds, which != "relay"))

    def column(which: str, key: str) -> Any:
        return np.array([[one[key] for one in found[name][which]] for name in cases]).T

    median = {
        name: {
            which: {key: float(np.median([one[key] for one in kept])) for key in kept[0]}
            for which, kept in both.items()
        }
        for name, both in found.items()
    }
    slow, fast, video = (median[name]["relay"] for name in cases)
    lost = sum(one["lost"] for one in found["4,000/s of 256 B"]["relay"])
    return Result(
        Axis("load", "", list(cases)), "ms, 99th percentile",
        {
            "relay: delay beyond the engine's": interval(column("relay", "excess p99")),
            "plain rclpy relay: delay": interval(column("plain rclpy", "delay p99")),
        },
        {"carrier": Carrier().model_dump(), "resource blocks": BLOCKS, "distance (m)": DISTANCE, "seconds": seconds,
 "scheduling": undisturbed(),
         "fitted": []},
        goals=[
            Goal("delay within this of the engine's, p99 at 1,000 messages/s", "1 ms", f"{slow['excess p99']:.2f} ms",
                 slow["excess p99"] <= 1.0),
            Goal("4,000 messages/s of 256 B: lost beyond the model's", "0",
                 f"{lost} at {fast['sent per second']:.0f}/s", lost == 0 and fast["sent per second"] > 3900),
            Goal("JPEG frames delivered", "45 Mb/s", f"{video['delivered, Mb/s']:.1f} Mb/s, {video['lost']:.0f} lost",
                 video["lost"] == 0 and video["delivered, Mb/s"] > 43.0),
        ],
        tables={"medians": median, "runs": found},
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-relay", run, seeds=3, quick_seeds=1)

# SPDX-License-Identifier: Apache-2.0
"""Pictures over a link of any rate: no queue that stays, what there is used, and full size where it fits."""

import itertools

import numpy as np
import pytest

from ir_sim.picture_rate import LADDER, PictureRate
from ir_sim.readings import Reading, Shot

TOPIC = "/cart/camera/image_raw/compressed"
FULL = 10_000  #: B of a full picture
RATE = 10.0  #: Hz


def shot(k):
    value = Shot(0, 320, 240, np.zeros(1))
    return Reading("cart", "camera", "/cart/camera/image_raw", "cart/camera", "", round(k * 1e8), value)


def drive(link, seconds=60.0, rates=None):
    """Pictures over a link of so many B/s (a function of time) with a queue of ten; [(time, waiting)], B carried."""
    pictures, queue, carried, offered, dropped, history = rates or PictureRate(), [], 0.0, 0, 0, []
    for k in range(round(seconds * RATE)):
        now = k / RATE
        taken = pictures.take(TOPIC, shot(k))
        if taken is not None:
            offered += 1
            size = FULL * taken.value.width * taken.value.height / (320 * 240)
            if len(queue) < 10:
                queue.append(size)
            else:
                dropped += 1
        room = link(now) / RATE
        while queue and room > 0:
            sent = min(room, queue[0])
            room, queue[0], carried = room - sent, queue[0] - sent, carried + sent
            if queue[0] <= 1e-9:
                queue.pop(0)
        if k % 2 == 0:
            pictures.report(TOPIC, offered, len(queue), dropped, now)
        history.append((now, len(queue)))
    return pictures, history, carried


def test_where_all_fits_nothing_changes():
    pictures, history, carried = drive(lambda now: 2 * FULL * RATE)
    assert pictures.step(TOPIC) == 0 and carried == 600 * FULL and max(waiting for _, waiting in history) == 0


@pytest.mark.parametrize("share", [0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05])
def test_on_a_narrow_link_pictures_wait_a_fifth_of_the_time_at_most_and_the_link_is_used(share):
    link = share * FULL * RATE
    _, history, carried = drive(lambda now: link, 120.0)
    emptied = 5.0 + 10 * FULL / link  # s until the full pictures of the beginning are through
    late = [waiting for now, waiting in history if now > emptied]
    assert np.mean(np.array(late) > 2) < 0.2, "pictures queue"  # always, at full rate
    assert carried > 0.4 * link * 120.0, "the link is idle"


def test_it_comes_back_when_the_link_does():
    pictures, history, _ = drive(lambda now: FULL * RATE * (0.1 if now < 20 else 2.0))
    assert pictures.step(TOPIC) == 0
    assert max(waiting for now, waiting in history if now > 25) == 0


def test_every_step_of_the_ladder_is_fewer_bits():
    bits = [share * share / every for share, every in LADDER]
    assert all(0.3 < after / before < 0.8 for before, after in itertools.pairwise(bits))


def test_a_radio_that_begins_anew_is_no_congestion():
    rates = PictureRate()
    rates.report(TOPIC, 100, 0, 50, 10.0)
    rates.report(TOPIC, 3, 0, 0, 10.2)
    rates.report(TOPIC, 5, 1, 0, 10.4)
    assert rates.step(TOPIC) == 0

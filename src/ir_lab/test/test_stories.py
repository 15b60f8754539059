# SPDX-License-Identifier: Apache-2.0
"""The stories of `./ir demo`: their turns in order, and the numbers of their ends by hand."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_lab.demo import run_demo
from ir_lab.demo.stories import GUARANTEED, NARROW, ONE, STORIES, Closing, Story, Tally, Telling, Turn, one_and_many
from ir_lab.net_movement import NetMovement
from ir_radio.model.slice_specs import SlicesFile

SLICES = Path(__file__).parents[3] / "config" / "slices.yaml"


class Stage:
    """Takes down what a story asks."""

    def __init__(self):
        self.done = []

    def __getattr__(self, name):
        return lambda *values: self.done.append((name, *values))


def tell(story, tally, step=0.05):
    """(captions, what was done, the end) of a story told in time."""
    stage, said, now = Stage(), [], 0.0
    telling = Telling(story, stage, said.append, lambda: tally(now))
    for k in range(10_000):
        now = k * step
        if (closing := telling.advance(now)) is not None:
            return said, stage.done, closing
    return pytest.fail("no end")


@pytest.mark.parametrize("name", STORIES)
def test_a_story_takes_about_a_minute_says_something_at_each_turn_and_leaves_nothing_on(name):
    story = STORIES[name]
    times = [turn.at for turn in story.turns]
    assert times == sorted(times) and times[0] == 0.0 and 45 <= times[-1] <= 60
    assert all(turn.caption for turn in story.turns[:-1])
    said, done, closing = tell(story, lambda now: Tally(now, commands=round(100 * now), delay=now))
    assert len(said) == len(story.turns) and said[-1].endswith(closing.text)
    last = {what: values for what, *values in done}
    assert {"drive": [False], "flood": [0.0], "cut": [False]}.items() >= {
        what: values for what, values in last.items() if what in ("drive", "flood", "cut")
    }.items()
    assert len(closing.numbers) == 2


def test_collisions_are_counted_in_the_part_in_which_they_happened():
    """One every two seconds while nobody keeps him, none after that."""
    _, done, closing = tell(STORIES["twin"], lambda now: Tally(now, collisions=int(min(now, 26.0) / 2), vetoed=7))
    assert done[:2] == [("keep", False), ("drive", True)] and ("keep", True) in done
    assert closing.numbers == {"collisions, free": 13, "collisions, kept": 0} and closing.made
    assert "13 in 26 s" in closing.text and "0 in 26 s" in closing.text
    _, _, even = tell(STORIES["twin"], lambda now: Tally(now))
    assert not even.made


def test_a_story_that_fails_its_point_says_so():
    said, _, closing = tell(STORIES["twin"], lambda now: Tally(now, collisions=int(now)))
    assert not closing.made and said[-1].startswith("Not this time: Collisions: 26 in 26 s")


def test_delays_are_means_over_the_messages_of_each_part():
    """100 messages a second; each takes 40 ms from 8 s to 28 s, and 1 ms else."""

    def tally(now):
        slow = min(max(now - 8.0, 0.0), 20.0)
        return Tally(now, commands=round(100 * now), delay=100 * (0.04 * slow + 0.001 * (now - slow)))

    _, done, closing = tell(STORIES["slices"], tally)
    assert closing.numbers["delay in one slice, s"] == pytest.approx(0.04, rel=0.01)
    assert closing.numbers["delay sliced, s"] == pytest.approx(0.001, rel=0.01) and closing.made
    assert [what for what, *_ in done] == ["flood", "slice", "flood"]
    _, _, silent = tell(STORIES["slices"], lambda now: Tally(now))
    assert not silent.made, "where nothing crossed at all, nothing is shown"


def test_drift_is_that_of_robots_at_rest_and_failures_count_until_the_link_is_back():
    """The cart creeps 0.02 m/s from the first cut on; the hopper, put back once a second, jumps."""

    def tally(now, falls=0):
        way = {"cart": (0.02 * max(0.0, now - 9.5), 0.0), "hopper": (now, 0.0)}
        return Tally(now, falls=falls, way=way, episodes={"cart": 1, "hopper": int(now)})

    _, done, closing = tell(STORIES["link"], tally)
    assert closing.numbers["drift, m"] == pytest.approx(0.08, abs=0.005)  # 4 s of the longest loss
    assert closing.made and "16 s without a link: 0 falls" in closing.text and "(cart)" in closing.text
    assert done == [("cut", away) for away in (True, False)] * 3 or done == [("cut", True), ("cut", False)] * 3
    _, _, fell = tell(STORIES["link"], lambda now: tally(now, falls=int(now >= 31.5)))
    assert fell.numbers["falls and collisions"] == 1 and not fell.made


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.sampled_from(["", "a", "b"])), min_size=1, max_size=12))
def test_parts_cover_just_their_time(turns):
    at, made = 0.0, []
    for lasts, part in turns:
        made.append(Turn(at, "x", (), part))
        at += lasts
    story = Story(
        "", (), (*made, Turn(at, "")), lambda parts: Closing({"n": sum(t.seconds for _, t in parts)}, "", True)
    )
    _, _, closing = tell(story, Tally, step=0.01)
    counted = sum(lasts for lasts, part in turns if part)
    assert closing.numbers["n"] == pytest.approx(counted, abs=0.011 * 2 * len(turns))


def test_the_slices_file_of_a_story_is_a_slices_file_with_everything_in_one():
    made = one_and_many(yaml.safe_load(SLICES.read_text()))
    file = SlicesFile.model_validate(made)
    (everything,) = (one for one in file.templates if one.name == ONE)
    others = [one for one in file.templates if one.name != ONE]
    assert len(everything.flows) == sum(len(one.flows) for one in others)
    assert everything.rate == pytest.approx(GUARANTEED * 100e6) and file.carrier.resource_blocks == 20
    assert file.carrier.bandwidth == NARROW["bandwidth"]


def test_a_way_leaves_out_that_a_robot_was_put_back():
    way = NetMovement()
    for now, place in ((0.0, (0.0, 0.0)), (0.1, (0.1, 0.0)), (0.2, (9.0, 9.0)), (0.3, (9.1, 9.1))):
        way.look(place, now)
    assert math.hypot(*way.way) == pytest.approx(math.hypot(0.2, 0.1))


@pytest.mark.parametrize(("words", "said"), [
    (["twim"], "did you mean twin"), (["twin", "duration:=3"], "the story decides this itself"),
    (["slices", "slices:=one_slice"], "the story makes its own"), (["link", "robots:=duck"], "duck"),
])  # fmt: skip
def test_a_mistake_is_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=said) as error:
        run_demo.run_story(words[0], words[1:])
    assert "\n" not in str(error.value)

# SPDX-License-Identifier: Apache-2.0
"""An agent that learns over the radio in the model's time: the same every time, and its policies reach the robot."""

import pytest

from ir_common.config import ConfigError
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

QUIET = ("rendering:=false", "robots:=hopper", "learn:=hopper", "learn_with:=sac", "learn_from:=nothing")


def made(*words, duration=13):
    """A run from nothing: the hopper falls often, so a version has shown after seconds what it is."""
    run = ModelRun(parse([*QUIET, f"duration:={duration}", *words]))
    return run, run.to_end()


def test_two_runs_are_equal_and_a_version_is_handed_over():
    (run, one), (_, again) = made(), made()
    assert one == again
    agent = one["agents"]["hopper_hop"]
    assert agent["versions"] > 1 and agent["version"] > 1
    assert agent["falls"] > 0 and agent["falls"] <= one["robots"]["hopper"]["falls"]
    assert 0 < agent["learning_steps"] <= agent["transitions"] - run.agents["hopper_hop"].training.start_steps
    policy = run.agents["hopper_hop"].policy()
    assert policy is not None and policy.version == agent["version"]


def test_it_learns_no_more_than_time_allows():
    _, report = made("agent_steps:=0")
    agent = report["agents"]["hopper_hop"]
    assert agent["learning_steps"] == 0 and agent["versions"] == 1


def test_a_run_goes_on_from_a_folder(tmp_path):
    words = (f"learn_folder:={tmp_path}",)
    _, first = made(*words, duration=3)
    _, second = made(*words, duration=1)
    before, after = first["agents"]["hopper_hop"], second["agents"]["hopper_hop"]
    assert after["transitions"] > before["transitions"] > 0 and after["versions"] >= before["versions"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learn:=nobody",), "there is no robot 'nobody'"),
        (("learn:=hopper", "learn_from:=nowhere.npz"), "cannot be read"),
        (("learn:=hopper", "policies:=hopper=trained"), "learn_from:=FILE"),
        (("learn:=hopper", "learn_with:=magic"), "learn_with"),
    ],
)
def test_a_mistake_is_said_in_one_line(words, said):
    with pytest.raises(ConfigError, match=said):
        parse(["robots:=hopper", *words])

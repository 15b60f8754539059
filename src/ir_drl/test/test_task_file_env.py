# SPDX-License-Identifier: Apache-2.0
"""A robot without code, of an SDF world and a YAML task, as a Gymnasium environment: the guide's own example."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ir_common.config import ConfigError
from ir_drl.environments.task_env import TaskEnv

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "robot.md"
SECTION = "## Without code"


@pytest.fixture
def environment(tmp_path):
    text = GUIDE.read_text(encoding="utf-8").partition(SECTION)[2]
    (world,) = re.findall(r"```xml\n(.*?)```", text, flags=re.S)
    (task,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "scout.yaml").write_text(task)
    (tmp_path / "yard.sdf").write_text(world)
    return TaskEnv("scout", world=tmp_path / "yard.sdf")


def test_gymnasium_finds_nothing_wrong_with_the_guides_robot(environment) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|recommend|render).*")
        check_env(environment, skip_render_check=True)


def test_a_world_without_goals_for_it_is_told(environment, tmp_path) -> None:
    """It stood at its goal from the first step on."""
    world = tmp_path / "yard.sdf"
    world.write_text(re.sub(r'<model name="goal_.*?</model>', "", world.read_text(), flags=re.S))
    with pytest.raises(ConfigError, match=r"yard\.sdf: has no goals for 'scout'.* goal_scout_1"):
        TaskEnv("scout", world=world)


def test_a_simple_rule_drives_it_to_its_goals(environment) -> None:
    reached = []
    for seed in range(2):
        observation, _ = environment.reset(seed=seed)
        ended, total = False, 0.0
        while not ended:
            bearing = observation[environment.task.observation_names.index("bearing")]
            action = np.array([0.4 * max(0.0, np.cos(bearing)), np.clip(2 * bearing, -1, 1)], np.float32)
            observation, reward, terminated, truncated, info = environment.step(action)
            ended, total = terminated or truncated, total + reward
        reached.append(info["cause"])
        assert total > 5
    assert reached == ["goal", "goal"]

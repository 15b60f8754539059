# SPDX-License-Identifier: Apache-2.0
"""The guide's commands for Nav2 against the parameters that they name; test_real_nav2.py runs them where it can."""

import yaml
from nav2_guide import ROOT, commands


def test_the_commands_start_the_nodes_that_have_parameters_and_manage_all_of_them() -> None:
    *nodes, manager, goal = commands()
    parameters = yaml.safe_load((ROOT / "config" / "nav2" / "cart.yaml").read_text())
    started = [command[3] for command in nodes]
    assert all(command[:2] == ["ros2", "run"] and "config/nav2/cart.yaml" in command for command in nodes)
    costmaps = {"local_costmap", "global_costmap"}  # of the controller's and the planner's processes
    assert parameters.keys() - costmaps <= set(started)
    managed = next(word for word in manager if word.startswith("node_names:="))
    assert yaml.safe_load(managed.removeprefix("node_names:=")) == started
    assert goal[:5] == ["ros2", "topic", "pub", "--once", "/goal_pose"]
    pose = yaml.safe_load(goal[6])["pose"]["position"]
    assert (pose["x"], pose["y"]) == (5.5, 3.0)

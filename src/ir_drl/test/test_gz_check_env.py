# SPDX-License-Identifier: Apache-2.0
"""Gymnasium's own checks of environments in lockstep with Gazebo, on the stand-in of it."""

import warnings

import pytest
from gymnasium.utils.env_checker import check_env
from gz_stack import make, stand_in


@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", ["hopper", "spider"])
def test_gymnasium_finds_nothing_wrong(ros_domain, tmp_path, model) -> None:
    """Each robot in a world of its own: another one that acts on its own meanwhile changes the last digits."""
    with stand_in(tmp_path, model), warnings.catch_warnings():
        environment = make(model)
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|recommend|render).*")
        check_env(environment, skip_render_check=True)
        environment.close()

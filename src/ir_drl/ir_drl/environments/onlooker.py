# SPDX-License-Identifier: Apache-2.0
"""Pictures of an environment's robot for people: an onlooker who goes along with it."""

from __future__ import annotations

import mujoco

from ir_common.config import ConfigError
from ir_sim.camera import Picture, Viewpoint, make_renderer
from ir_sim.readings import JointStates, Value
from ir_sim.readings import Odometry as OdometryReading
from ir_sim.sdf import World
from ir_sim.simulation import Simulation

RENDER_MODES = ("rgb_array",)


def checked_render_mode(mode: str | None) -> str | None:
    """The render mode, if there is such a one.

    Raises:
        ConfigError: there is not.
    """
    if mode not in (None, *RENDER_MODES):
        raise ConfigError(f"render_mode '{mode}': there is {' and '.join(RENDER_MODES)} only, or none")
    return mode


class Onlooker:
    """Renders what a simulation looks like beside one of its robots, by OpenGL or, without it, by rays.

    Args:
        simulation: to be looked at; it is not changed.
        robot: name of the one that is followed.
    """

    def __init__(self, simulation: Simulation, robot: str) -> None:
        self._simulation, self._robot = simulation, robot
        self._renderer = make_renderer(simulation.model)
        self._data = mujoco.MjData(simulation.model)

    def picture(self) -> Picture:
        """[height, width, 3] uint8, of the present state."""
        simulation, data = self._simulation, self._data
        data.qpos[:] = simulation.data.qpos
        mujoco.mj_kinematics(simulation.model, data)
        mujoco.mj_camlight(simulation.model, data)
        target = simulation.views[self._robot].odometry().position
        return self._renderer.overlook(data, Viewpoint(target.copy()))


class Mirror:
    """A robot that is simulated elsewhere, as its sensors report it.

    Args:
        world: composed world with the robot in it.
        robot: its name.
    """

    def __init__(self, world: World, robot: str) -> None:
        self._simulation, self._robot = Simulation(world, 0, cameras=False), robot
        self._onlooker: Onlooker | None = None

    def take(self, value: Value) -> None:
        """Takes odometry or joint states in; other readings change nothing."""
        odometry = value if isinstance(value, OdometryReading) else None
        joints = value if isinstance(value, JointStates) else None
        self._simulation.views[self._robot].show(odometry, joints)
        mujoco.mj_kinematics(self._simulation.model, self._simulation.data)

    def picture(self) -> Picture:
        """[height, width, 3] uint8, of what was reported last."""
        self._onlooker = self._onlooker or Onlooker(self._simulation, self._robot)
        return self._onlooker.picture()

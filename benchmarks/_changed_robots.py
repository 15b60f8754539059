# SPDX-License-Identifier: Apache-2.0
"""Robots of a run in the model's time that are no longer what they were."""

from __future__ import annotations

import mujoco

from ir_lab.model_time.ros_model_run import ModelRun


def load(run: ModelRun, robot: str, share: float) -> None:
    """A mass on the base: this share of all that the robot weighs."""
    model, view = run.simulation.model, run.simulation.views[robot]
    more = 1.0 + share * model.body_mass[view.bodies].sum() / model.body_mass[view.base]
    model.body_mass[view.base] *= more
    model.body_inertia[view.base] *= more
    mujoco.mj_setConst(model, mujoco.MjData(model))  # derived constants follow the masses, the state stays


def smooth(run: ModelRun, robot: str, factor: float) -> None:
    """A floor of other friction under the robot."""
    run.simulation.model.geom_friction[run.simulation.views[robot].geoms, 0] *= factor


def damp(run: ModelRun, robot: str, joint: str, factor: float) -> None:
    """A joint whose damping is another."""
    model = run.simulation.model
    model.dof_damping[model.joint(f"{robot}/{joint}").dofadr[0]] *= factor

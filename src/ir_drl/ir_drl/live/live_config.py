# SPDX-License-Identifier: Apache-2.0
"""What an agent that learns live is, and when it hands its policies over."""

from __future__ import annotations

from pydantic import Field

from ir_common.config import Config
from ir_drl.algorithms import LiveAlgorithm

SHIPPED, NOTHING = "shipped", "nothing"
"""Words for where an agent begins."""
HIDDEN = (128, 128)
"""Neurons of each hidden layer, as of the policies that are shipped."""

IOR_HIDDEN = (256, 256, 256)
"""The same in IoR."""


class VersionConfig(Config):
    """When a version of the policy has shown what it is, and when it is taken back."""

    trial_episodes: int = Field(5, ge=1, le=1000, description="episodes after which a version has shown what it is")
    trial_period: float = Field(
        20.0, gt=0, le=3600, description="s of ROS time after which it has, where its episodes are longer"
    )
    judged_episodes: int = Field(
        3, ge=2, le=1000, description="episodes of a version, and of that before it, without which none is taken back"
    )
    last_episodes: int = Field(20, ge=2, le=1000, description="newest episodes of a version that it is judged by")
    worse_by: float = Field(
        0.1, ge=0, le=10, description="share of the return before by which a version that is taken back does worse"
    )


class LiveAgentConfig(VersionConfig):
    """An agent that learns live."""

    algorithm: LiveAlgorithm = Field(
        "predict",
        description="sac: from the robot alone; predict, gan, best: also from what a model of the robot predicts; "
        "paper: gan with IoR's networks",
    )
    learn_from: str = Field(
        SHIPPED,
        min_length=1,
        description="where the policy begins: shipped (that of the stack), nothing, or a policy file",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of every random number")
    memory: int = Field(4, ge=0, le=64, description="last actions that the policy is told besides the observation")
    waiting_steps: int = Field(
        500, ge=1, le=1_000_000, description="learning steps that are made later where time is short; more are left out"
    )

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer of actor and critics."""
        return IOR_HIDDEN if self.algorithm == "paper" else HIDDEN


class LiveNodeConfig(LiveAgentConfig):
    """Parameters of an agent that learns live."""

    robots: tuple[str, ...] = Field(min_length=1, description="that it learns from, of one task: name, or name:model")
    world: str = Field("", description="path of the SDF world of the robots; empty: none")
    edge_namespace: str = Field(
        "/edge", pattern=r"^(/[a-z][a-z0-9_]*)*$", description="side of the radio on which it acts; empty without radio"
    )
    folder: str = Field("", description="folder of its checkpoint, gone on from at the start; empty: none")
    duty: float = Field(0.5, gt=0, le=1, description="share of one core that learning may take")
    io_period: float = Field(0.05, ge=0.01, le=10, description="s of wall time between looks for a new version")

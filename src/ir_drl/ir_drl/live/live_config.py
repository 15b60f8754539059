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

    trial_episodes: int = Field(2, ge=1, le=1000, description="episodes after which the next version takes its place")
    trial_period: float = Field(
        20.0, gt=0, le=3600, description="s of ROS time after which it does, where its episodes are longer"
    )
    judged_episodes: int = Field(
        3, ge=2, le=1000, description="episodes on either side of a comparison without which nothing is taken back"
    )
    held_episodes: int = Field(
        10, ge=2, le=1000, description="episodes of the newest versions without which none becomes the reference"
    )
    last_episodes: int = Field(20, ge=2, le=1000, description="newest episodes, at most, that are compared")
    worse_by: float = Field(
        0.25, ge=0, le=10, description="share of the reference's return by which versions that are taken back do worse"
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

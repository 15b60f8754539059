# SPDX-License-Identifier: Apache-2.0
"""Configuration of the learnt dynamics: networks, GAN, risk, and how they are fitted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ir_common.config import Config

MAX_REPLAY, MAX_HELDOUT = 10_000_000, 1_000_000
"""Transitions of a task that may be kept to learn from, and held out."""


class NetworkConfig(Config):
    """A predict network and how it is fitted."""

    hidden: tuple[int, ...] = Field(default=(200,) * 5, description="neurons of each hidden layer")
    activation: Literal["sigmoid", "silu"] = Field(default="sigmoid", description="after each hidden layer")
    normalise: bool = Field(
        default=False, description="standardised inputs and targets, next state learnt as a difference"
    )
    learning_rate: float = Field(default=3e-4, gt=0, le=1, description="of Adam")
    batch: int = Field(default=256, ge=1, description="transitions per gradient step")


PRESETS: dict[str, NetworkConfig] = {
    "paper": NetworkConfig(),
    "paper_normalised": NetworkConfig(normalise=True),
    "live": NetworkConfig(hidden=(128, 128), activation="silu", normalise=True, learning_rate=1e-3),
}
"""`paper`: IoR section III. `live`: learns as much from a tenth of the arithmetic (figures: docs/notes/twin.md)."""


class EnsembleConfig(Config):
    """An ensemble of probabilistic predict networks and how it is fitted."""

    members: int = Field(default=5, ge=1, le=100, description="networks")
    elites: int = Field(default=3, ge=1, le=100, description="members in use: those with the least held-out loss")
    hidden: tuple[int, ...] = Field(default=(128,) * 3, min_length=1, description="neurons of each hidden layer")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="of Adam")
    batch: int = Field(default=256, ge=1, description="transitions per gradient step and member")
    max_log_variance: float = Field(default=0.5, description="upper limit at the start, of standardised outputs")
    min_log_variance: float = Field(default=-10.0, description="lower limit at the start")
    max_steps: int = Field(default=2000, ge=0, description="gradient steps of one fit at most")
    check_steps: int = Field(default=100, ge=1, description="gradient steps between looks at the held-out loss")
    patience: int = Field(default=5, ge=1, description="looks in a row without a member better than ever end a fit")
    tolerance: float = Field(default=0.01, ge=0, description="relative: improvements under this do not prolong a fit")
    heldout_rows: int = Field(default=2000, ge=1, description="held-out transitions of a look at most")

    @model_validator(mode="after")
    def _members(self) -> EnsembleConfig:
        if self.elites > self.members:
            raise ValueError("elites: must be at most members")
        return self


class RiskConfig(Config):
    """The networks that learn how near a terminal state is, and when and how they are fitted."""

    members: int = Field(default=5, ge=1, le=100, description="networks")
    hidden: tuple[int, ...] = Field(default=(64, 64), min_length=1, description="neurons of each hidden layer")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="of Adam")
    batch: int = Field(default=256, ge=1, description="transitions per gradient step and member")
    steps: int = Field(default=250, ge=1, description="gradient steps of a fit")
    min_transitions: int = Field(default=1000, ge=1, description="before the first fit")
    growth: float = Field(default=1.25, gt=1, description="times the transitions of the last fit there are at the next")


class GANConfig(Config):
    """A generative adversarial network of (state, action) pairs, and when its pairs are good enough to use."""

    hidden: int = Field(default=100, ge=1, description="neurons of each hidden layer")
    generator_blocks: int = Field(default=4, ge=1, description="blocks of linear, batch norm, LeakyReLU")
    critic_blocks: int = Field(default=1, ge=1, description="blocks of linear, LeakyReLU before the last linear")
    latent: int = Field(default=32, ge=1, description="normal random numbers behind a pair")
    batch: int = Field(default=64, ge=2, description="pairs per gradient step")
    learning_rate: float = Field(default=5e-5, gt=0, le=1, description="of RMSprop, for generator and critic")
    critic_steps: int = Field(default=5, ge=1, description="critic steps for each generator step")
    normalise: bool = Field(default=False, description="standardised pairs; generated ones stay in the range of real")
    max_distance_ratio: float = Field(
        default=3.0, gt=1, description="passes: sliced Wasserstein distance to real pairs, over that of real to real"
    )
    max_accuracy: float = Field(
        default=0.75, gt=0.5, le=1, description="passes: accuracy of a classifier that tells real pairs from generated"
    )


GAN_PRESETS: dict[str, GANConfig] = {
    "paper": GANConfig(),
    "improved": GANConfig(critic_blocks=2, batch=256, learning_rate=5e-4, normalise=True),
}
"""`paper`: IoR section III. `improved`: standardised pairs, ten times the rate (docs/notes/twin.md has the figures)."""


class FittingConfig(Config):
    """How a task's network is fitted while its transitions come, and when it is published."""

    preset: Literal["paper", "paper_normalised", "live", "ensemble"] = Field(
        default="live", description="network, see PRESETS; ensemble: EnsembleConfig"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="of weights and batches")
    replay_capacity: int = Field(default=60_000, ge=100, le=MAX_REPLAY, description="transitions kept per task")
    heldout_capacity: int = Field(
        default=2_000, ge=10, le=MAX_HELDOUT, description="held-out transitions kept per task"
    )
    min_transitions: int = Field(
        default=64, ge=48, le=1_000_000, description="before the first gradient step, per task"
    )
    initial_steps: int = Field(default=100, ge=1, le=1_000_000, description="gradient steps before the first version")
    steps_per_transition: float = Field(
        default=1.0, gt=0, le=100, description="gradient steps that one transition allows"
    )
    risk_horizon: float = Field(
        default=1.2, gt=0, le=60, description="s that the preset ensemble learns to see a terminal state ahead"
    )
    publish_period: float = Field(
        default=2.0,
        ge=0.1,
        le=3600,
        description="s between two versions of a model; wall time in the learner's process",
    )
    worse_by: float = Field(
        default=0.05, ge=0, description="relative held-out error over the best so far at which a version is rolled back"
    )

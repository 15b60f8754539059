# SPDX-License-Identifier: Apache-2.0
"""Configuration of the twin: the network, its training, the veto and the node."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ir_common.config import Config, live

Mode = Literal["off", "shadow", "enforce"]
Fallback = Literal["pass", "safe"]
Rule = Literal["reward", "risk", "risk_to_go"]
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
"""`paper`: IoR section III. `live`: learns as much from a tenth of the arithmetic (docs/twin.md has the figures)."""


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
"""`paper`: IoR section III. `improved`: standardised pairs, ten times the rate (docs/twin.md has the figures)."""


class LearnerConfig(Config):
    """Online training in the learner's process."""

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
    learner_duty: float = Field(default=0.2, gt=0, le=1, description="share of one core that training may take")
    learner_nice: int = Field(default=5, ge=0, le=19, description="niceness of the learner's process")
    publish_period: float = Field(
        default=2.0, ge=0.1, le=3600, description="s of wall time between two versions of a model"
    )
    worse_by: float = Field(
        default=0.05, ge=0, description="relative held-out error over the best so far at which a version is rolled back"
    )
    checkpoints: str = Field(
        default="", description="folder of a checkpoint and the transitions of each task, gone on from; empty: none"
    )
    max_restarts: int = Field(default=5, ge=0, le=1000, description="times that a dead learner is started again")
    outbox_limit: int = Field(
        default=5_000,
        ge=1,
        le=1_000_000,
        description="transitions per task that wait for the learner; the oldest is dropped",
    )


class VetoConfig(Config):
    """The rule between a proposal and the command topic."""

    mode: Mode = live("shadow", description="off: untested; shadow: tested and passed on; enforce: vetoed is not sent")
    threshold: Literal["auto"] | float = live(
        "auto", description="predicted rewards under this are vetoed, dimensionless; auto: from experience"
    )
    threshold_quantile: float = live(0.02, gt=0, le=0.5, description="auto: quantile of the recent real rewards")
    false_veto_share: float = live(
        0.01, ge=0, le=0.5, description="auto: share of the steps that turned out well that the threshold may veto"
    )
    max_veto_share: float = live(
        0.5, gt=0, le=1, description="a threshold over this share of the recent real rewards is not used"
    )
    trial_steps: int = live(
        200, ge=50, le=500, description="auto: steps that the twin has predicted before it may veto anything"
    )
    max_consecutive_vetoes: int = live(
        5, ge=0, le=1_000_000, description="after so many in a row one proposal is sent as a probe; 0: never"
    )
    rule: Rule = live(
        "reward",
        description="reward: predicted reward under the threshold; risk: predicted termination; risk_to_go: "
        "how near one is as the robot goes on (both: ensemble)",
    )
    risk_limit: float = live(0.5, gt=0, lt=1, description="risk (to go) over which a proposal is vetoed")
    risk_steps: int = live(2, ge=1, le=20, description="risk: control steps that the twin looks ahead")
    risk_candidates: int = live(
        8, ge=0, le=256, description="risk: actions drawn around a vetoed one that are tried before the safe action"
    )
    risk_evaluations: int = live(
        256, ge=2, le=1_000_000, description="risk: predicted steps that may be spent on robots vetoed at once; each "
        "tries fewer candidates where many are, but at least the safe action and the one half way to it"
    )  # fmt: skip
    risk_spread: float = live(0.3, gt=0, le=2, description="risk: deviation of those, in halves of each action's range")
    foresight_steps: int = live(
        5, ge=1, le=50, description="a verdict was right where a terminal state follows within so many control steps"
    )
    compensate_delay: bool = live(
        True,
        description="enforcing: where commands are whole control steps late, controllers and verdicts are given the "
        "state that the command will meet, as the network foresees it",
    )
    on_no_model: Fallback = live("pass", description="what is sent while the network is not trained yet")
    on_stale_state: Fallback = live("safe", description="what is sent when the robot's state is missing or too old")
    on_no_prediction: Fallback = live("safe", description="what is sent when the prediction is not finite")
    state_timeout: float = live(0.5, gt=0, le=3600, description="s of ROS time after which a state is too old")
    reward_window: int = Field(default=5_000, ge=100, le=1_000_000, description="recent rewards per task behind auto")

    @property
    def by_risk(self) -> bool:
        """The verdict is about terminal states, not about rewards."""
        return self.rule != "reward"

    @property
    def risk_kind(self) -> tuple[str, int]:
        """What the risk is of: those of different kinds do not compare."""
        return self.rule, self.risk_steps if self.rule == "risk" else 0

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_truth(cls, value: Any) -> Any:
        """On a command line ``mode:=off`` is a YAML truth value."""
        return "off" if value is False else value


class TwinSettings(VetoConfig, LearnerConfig):
    """Everything about the twin but its fleet: what a settings file of the bringup may hold."""

    io_period: float = Field(
        default=0.05, ge=0.01, le=10, description="s of wall time between exchanges with the learner"
    )

    @model_validator(mode="after")
    def _risk_has_its_network(self) -> TwinSettings:
        if self.by_risk and self.preset != "ensemble":
            raise ValueError(
                f"rule: {self.rule} needs terminations to be predicted: give preset ensemble, or rule reward"
            )
        return self


class TwinConfig(TwinSettings):
    """Parameters of the twin node."""

    robots: tuple[str, ...] = Field(
        default=(),
        description="each name:model or, with a world, the name of a robot in it; empty: all of the world",
    )
    world: str = Field(default="", description="path of the SDF world that the tasks refer to; empty: none")
    edge_namespace: str = Field(
        default="/edge", pattern=r"^(/[a-z][a-z0-9_]*)?$", description="before the robots' names; empty: radio off"
    )

    @model_validator(mode="after")
    def _fleet(self) -> TwinConfig:
        names = [robot.partition(":")[0] for robot in self.robots]
        if len(set(names)) < len(names) or "" in names or not (names or self.world):
            raise ValueError("robots: must name at least one robot, each once, as 'model' or 'name:model'")
        return self

# SPDX-License-Identifier: Apache-2.0
"""Configuration of the robot twin: the veto, the learner's process and the node."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ir_common.config import Config, live
from ir_dynamics.dynamics_config import FittingConfig

Mode = Literal["off", "shadow", "enforce"]
Fallback = Literal["pass", "safe"]
Rule = Literal["reward", "risk", "risk_to_go"]
Substitutes = Literal["nearby", "noise_free"]


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
    replace_with: Substitutes = live(
        "nearby",
        description="what is sent in place of a vetoed action. nearby: another that the twin thinks better (rules "
        "about risk), or the safe action; noise_free: what the controller would propose without exploring, and the "
        "proposal itself where it does not explore",
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


class LearnerConfig(FittingConfig):
    """Online training in the learner's process."""

    learner_duty: float = Field(default=0.2, gt=0, le=1, description="share of one core that training may take")
    learner_nice: int = Field(default=5, ge=0, le=19, description="niceness of the learner's process")
    checkpoints: str = Field(
        default="", description="folder of a checkpoint and the transitions of each task, gone on from; empty: none"
    )
    practised: str = Field(
        default="",
        description="folder with networks that practised before (`./ir run ir_lab practise`), gone on from where "
        "`checkpoints` has none; stack: those that the stack ships; empty: none",
    )
    max_restarts: int = Field(default=5, ge=0, le=1000, description="times that a dead learner is started again")
    outbox_limit: int = Field(
        default=5_000,
        ge=1,
        le=1_000_000,
        description="transitions per task that wait for the learner; the oldest is dropped",
    )


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

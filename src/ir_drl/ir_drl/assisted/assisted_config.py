# SPDX-License-Identifier: Apache-2.0
"""What a training with a twin is made of, and the four algorithms as sets of defaults."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ir_common.config import Config
from ir_drl.algorithms import Algorithm
from ir_drl.assisted.demonstrations import Demonstrations
from ir_drl.sac.reward_curriculum import RewardCurriculumConfig
from ir_drl.sac.training_config import TrainingConfig
from ir_dynamics.dynamics_config import GAN_PRESETS, EnsembleConfig, GANConfig


class TrainingModelConfig(Config):
    """How the training model (here: the twin) is fitted, and what the agent has of it."""

    model: Literal["network", "ensemble"] = Field(
        default="network", description="IoR's predict network, or the probabilistic ensemble"
    )
    preset: Literal["paper", "paper_normalised", "live"] = Field(
        default="paper_normalised", description="of the predict network (ir_dynamics.dynamics_config.PRESETS)"
    )
    ensemble: EnsembleConfig = Field(default_factory=EnsembleConfig, description="of the ensemble")
    period: int = Field(default=250, ge=1, description="environment steps from one fit, with its rollouts, to the next")
    first_fit_steps: int = Field(default=1000, ge=1, description="gradient steps of the first fit, at most")
    fit_steps: int = Field(default=250, ge=1, description="gradient steps of each later fit, at most")
    max_error: float = Field(
        default=1.0, gt=0, description="of predicted states on held-out transitions, relative to that of 'nothing "
        "changes', and of rewards, to their spread; a twin above it is neither learnt from nor asked"
    )  # fmt: skip
    share: float = Field(default=0.5, ge=0, le=1, description="part of each batch that the twin gives")
    share_until: int | None = Field(
        default=None, ge=1, description="epoch until which that falls to nothing, in proportion; none: it stays"
    )
    capacity: int = Field(default=100_000, ge=1, description="transitions that the twin's buffer keeps")
    starts: int = Field(default=2000, ge=1, description="rollouts after each fit")
    length: tuple[int, int] = Field(default=(1, 1), description="steps of a rollout, at first and at last")
    length_epochs: tuple[int, int] = Field(
        default=(1, 2), description="epochs between which the length grows in proportion"
    )
    action_noise: float = Field(
        default=0.0, ge=0, description="standard deviation of what is added to the first action of every other rollout "
        "from a real state: the twin, not the robot, tries what the policy would not do"
    )  # fmt: skip
    bounded: bool = Field(
        default=False, description="what is predicted beyond the range of all real transitions is moved to its border"
    )
    generated_share: float = Field(
        default=0.0, ge=0, le=1, description="part of the rollouts that start from the GAN's states and actions once "
        "these pass; the others start from real states"
    )  # fmt: skip
    gan: GANConfig = Field(default=GAN_PRESETS["paper"], description="the GAN and its gate")
    gan_steps: int = Field(default=100, ge=1, description="generator steps after each fit")
    veto: Literal["none", "reward", "fall"] = Field(
        default="none", description="reward: IoR's threshold on the predicted one; fall: predicted falls"
    )
    veto_candidates: int = Field(default=8, ge=1, description="actions tried where the proposed one is vetoed")
    reward_quantile: float = Field(
        default=0.02, gt=0, lt=1, description="of the last 5,000 real rewards: the reward veto's threshold"
    )
    fall_steps: int = Field(default=10, ge=1, description="steps that the fall veto looks ahead")
    fall_particles: int = Field(default=6, ge=1, description="futures of each candidate that the fall veto draws")
    fall_share: float = Field(
        default=0.3, gt=0, le=1, description="an action is vetoed when this share of its futures, or more, falls"
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainingModelConfig:
        if min(self.length) < 1 or min(self.length_epochs) < 1:
            raise ValueError("length and length_epochs: must be at least 1")
        if self.length_epochs[1] <= self.length_epochs[0]:
            raise ValueError("length_epochs: the second must be greater than the first")
        return self

    def share_in(self, epoch: int) -> float:
        """Part of each batch that the twin gives in an epoch (1 for the first)."""
        return self.share if self.share_until is None else self.share * max(1.0 - (epoch - 1) / self.share_until, 0.0)

    def rollout_length(self, epoch: int) -> int:
        """Steps of the rollouts in an epoch (1 for the first)."""
        (first, last), (begin, end) = self.length, self.length_epochs
        done = min(max((epoch - begin) / (end - begin), 0.0), 1.0)
        return round(first + done * (last - first))


DEFAULTS: dict[str, dict[str, Any]] = {
    "sac": {},
    "predict": {"twin": {"veto": "reward", "reward_quantile": 0.05}},
    "gan": {
        "twin": {
            "veto": "reward",
            "reward_quantile": 0.05,
            "generated_share": 0.5,
            "gan": GAN_PRESETS["improved"].model_dump(),
        }
    },
    "best": {
        "sac": {
            "hidden": (128, 128),
            "actor_every": 2,
            "discount": 0.997,
        },
        "return_steps": 5,
        "task_pace": True,
        "updates_per_step": 10,
        "start_steps": 500,
        "twin": {
            "model": "ensemble",
            "first_fit_steps": 1500,
            "fit_steps": 200,
            "share": 0.9,
            "share_until": 6,
            "starts": 10_000,
            "capacity": 200_000,
            "bounded": True,
            "action_noise": 0.4,
        },
    },
}
"""What an algorithm has otherwise than the fields' own defaults; docs/method/dt_training.md says why."""

HOPPING = RewardCurriculumConfig(cap=1.5, allowance=0.5)
PACES = {"Hopper-v5": HOPPING, "ir/HopperHop-v0": HOPPING}
"""Tasks that pay for speed and for not having fallen: 1 a step for standing, on which these numbers rest."""


class AssistedConfig(TrainingConfig):
    """A training run with or without a training model; what is not given is as the algorithm has it."""

    algorithm: Algorithm = Field(
        default="sac", description="sac: no twin; predict: IoR without GAN; gan: IoR's proposal; best: what works best"
    )
    twin: TrainingModelConfig = Field(default_factory=TrainingModelConfig, description="the twin; sac has none")
    task_pace: bool = Field(
        default=False, description="where there is no `pace`: the task's own (PACES), if it has one"
    )
    demonstrations: Demonstrations = Field(
        default_factory=Demonstrations, description="of the task's scripted controller"
    )

    @model_validator(mode="after")
    def _rewarded_alike(self) -> AssistedConfig:
        if self.pace is not None and self.demonstrations.steps:
            raise ValueError("pace: what is demonstrated has whole rewards; leave out pace or demonstrations")
        return self

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: Any) -> Any:
        return _merged(DEFAULTS.get(given.get("algorithm", "sac"), {}), given) if isinstance(given, dict) else given


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        merged[key] = _merged(defaults[key], value) if both else value
    return merged

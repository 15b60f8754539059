# SPDX-License-Identifier: Apache-2.0
"""Trains an agent in a Gymnasium environment: progress and falls live, a checkpoint each epoch, a plot at the end."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import ir_drl.environments  # noqa: F401 (registers ir/<Task>-v0)
from ir_common.atomic_file import replace_text
from ir_common.config import EXIT_CONFIG, ConfigError, load_yaml, validate
from ir_common.damage import first_line
from ir_drl.assisted import ALGORITHMS, AssistedConfig, make_trainer
from ir_drl.export import POLICY, Export
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.epoch_record import EpochRecord
from ir_drl.sac.training_config import TrainingConfig
from ir_sim.tasks import Task

CHECKPOINT, RECORDS, PLOT, LOGS = "checkpoint.pt", "records.json", "training.png", "tensorboard"
INTERRUPTED = 130
TWIN = {
    "twin_error": "twin error",
    "twin_transitions": "predicted",
    "rollout_steps": "rollouts",
    "gan_distance": "GAN distance",
    "generated_share": "generated",
    "vetoes": "vetoes",
}
"""What the live table shows of the training model, where the algorithm has one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the executable ``train``."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    given = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _train(given, shlex.join(words))
    except (ConfigError, FloatingPointError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        print(f"\ntrain: interrupted; the same command with --resume goes on after the last epoch in {_folder(given)}")
        sys.exit(INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("environment", help="Gymnasium id, such as Hopper-v5; module:id imports the module first")
    parser.add_argument("--algorithm", choices=ALGORITHMS, help="see docs/method/dt_training.md [sac, or the file's]")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="argument of the environment: latency=0.006"
    )
    parser.add_argument("--config", type=Path, help="YAML file with the fields of AssistedConfig")
    parser.add_argument("--out", type=Path, help="folder of the run [runs/ENVIRONMENT-ALGORITHM-SEED]")
    parser.add_argument("--seed", type=int, help="of every random number [0, or the file's]")
    parser.add_argument("--epochs", type=int, help="number of epochs [120, or the file's]")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--device", default="cpu", help="of the networks, such as cuda [cpu]")
    parser.add_argument("--threads", type=int, help="cores for the networks on the CPU [all]")
    parser.add_argument("--tensorboard", action="store_true", help=f"log to OUT/{LOGS} too (needs tensorboardX)")
    return parser


def _config(given: argparse.Namespace) -> AssistedConfig:
    config = load_yaml(given.config, AssistedConfig) if given.config else AssistedConfig()
    changes = {key: getattr(given, key) for key in ("algorithm", "seed", "epochs") if getattr(given, key) is not None}
    if given.algorithm not in (None, config.algorithm) and "algorithm" in config.model_fields_set:
        raise ConfigError(f"--algorithm {given.algorithm}: {given.config} says {config.algorithm}; leave one out")
    values = config.model_dump(exclude_unset=True)  # the rest is as the algorithm has it
    return validate(AssistedConfig, values | changes, "command line")


def _folder(given: argparse.Namespace) -> Path:
    config = _config(given)
    return given.out or Path("runs") / f"{given.environment.replace('/', '-')}-{config.algorithm}-{config.seed}"


def _train(given: argparse.Namespace, words: str) -> None:
    config, folder = _config(given), _folder(given)
    if given.threads is not None:
        if given.threads < 1:
            raise ConfigError(f"--threads: must be at least 1 (given: {given.threads})")
        torch.set_num_threads(given.threads)
    maker = _maker(given.environment, given.set)
    trainer = make_trainer(maker, config, given.environment, _device(given.device))
    path = folder / CHECKPOINT
    if given.resume:
        trainer.load(path)
    elif path.exists():
        raise ConfigError(f"{path}: holds a run already; give --resume to go on with it, or another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}); give another folder as --out") from None
    export = None
    if isinstance(getattr(trainer.environment.unwrapped, "task", None), Task):
        export = Export(folder, maker(), trainer, f"./ir run ir_drl train {words}")
    log = _logger(folder / LOGS) if given.tensorboard else lambda epoch: None
    try:
        with _Display(trainer, config) as display:
            for epoch in trainer.run(display.step):
                if export:
                    export.epoch()
                trainer.save(path)  # after the policy: a run that is stopped between them tries this epoch once more
                _write(folder / RECORDS, given.environment, trainer.config, trainer.records)
                log(epoch)
                display.epoch(epoch)
    finally:
        trainer.close()
    plot(folder / PLOT, given.environment, trainer.records)
    print(f"{path}, {RECORDS} and {PLOT}" + (f", and the best policy: {folder / POLICY}" if export else ""))


def _maker(name: str, settings: Sequence[str] = ()) -> Callable[[], gymnasium.Env[Any, Any]]:
    arguments: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"--set {setting}: must read NAME=VALUE")
        try:
            arguments[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {setting}: {value} is no value in YAML") from None
    try:
        gymnasium.make(name, **arguments).close()
    except TimeoutError as error:
        raise ConfigError(f"{name}: {error}") from None
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ConfigError(
            f"{name}: environment cannot be made ({first_line(error)}); give an id that gymnasium knows"
        ) from None
    return lambda: gymnasium.make(name, **arguments)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"--device {name}: cannot be used ({first_line(error)}); give cpu, or another of this machine"
        ) from None
    return device


def _logger(folder: Path) -> Callable[[EpochRecord], None]:
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped,import-not-found]
    except ImportError:
        raise ConfigError("--tensorboard: needs the package tensorboardX; install it or leave the option out") from None
    writer = SummaryWriter(str(folder))

    def log(epoch: EpochRecord) -> None:
        values = {"falls": epoch.falls, "seconds": epoch.seconds} | epoch.metrics
        for name in ("training", "evaluation"):
            returns = getattr(epoch, f"{name}_returns")
            values |= {f"{name}_return": float(np.mean(returns))} if returns else {}
        for name, value in values.items():
            writer.add_scalar(name, value, epoch.steps)
        writer.flush()

    return log


class _Display:
    """A progress bar over all steps, and a line for each epoch."""

    def __init__(self, trainer: AgentTrainer, config: TrainingConfig) -> None:
        self._trainer, self._config = trainer, config
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("return {task.fields[reward]:.1f}  falls {task.fields[falls]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(),
        )

    def __enter__(self) -> _Display:
        done = len(self._trainer.records) * self._config.epoch_steps
        total = self._config.epochs * self._config.epoch_steps
        self._bar = self._progress.add_task(self._trainer.task, completed=done, total=total, reward=np.nan, falls=0)
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, step: int) -> None:
        """Shows the step, and the running epoch's falls and last return."""
        trainer = self._trainer
        if trainer.progress.returns:
            self._progress.update(self._bar, reward=trainer.progress.returns[-1])
        self._progress.update(self._bar, completed=step, falls=trainer.progress.falls)

    def epoch(self, epoch: EpochRecord) -> None:
        """Prints what an epoch brought."""
        columns = {
            "evaluation": epoch.evaluation_returns,
            "training": epoch.training_returns,
            "alpha": [epoch.metrics["alpha"]] if "alpha" in epoch.metrics else [],
        }
        shown = "  ".join(
            f"{name} {np.mean(values):8.2f}" if values else f"{name}        -" for name, values in columns.items()
        )
        twin = "".join(f"  {label} {epoch.metrics[key]:.3g}" for key, label in TWIN.items() if key in epoch.metrics)
        self._progress.console.print(
            f"epoch {epoch.epoch:4d}  {shown}  falls {epoch.falls:4d}{twin}  {epoch.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )


def _write(path: Path, task: str, config: TrainingConfig, records: Sequence[EpochRecord]) -> None:
    content = {"task": task, "config": config.model_dump(), "epochs": [asdict(record) for record in records]}
    replace_text(path, json.dumps(content, indent=1) + "\n")


def plot(path: Path, task: str, records: Sequence[EpochRecord]) -> None:
    """Draws evaluation return (mean and range of its episodes) and falls over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (upper, lower) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    tested = [record for record in records if record.evaluation_returns]
    epochs = [record.epoch for record in tested]
    returns = [record.evaluation_returns for record in tested]
    upper.plot(epochs, [np.mean(one) for one in returns])
    upper.fill_between(epochs, [min(one) for one in returns], [max(one) for one in returns], alpha=0.2)
    upper.set(title=task, ylabel="evaluation return")
    lower.bar([record.epoch for record in records], [record.falls for record in records])
    lower.set(xlabel="epoch", ylabel="falls")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)

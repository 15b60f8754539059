# SPDX-License-Identifier: Apache-2.0
"""The executable ``train``."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import ir_drl.environments  # noqa: F401  (registers them)
from ir_common.config import ConfigError
from ir_drl.assisted import AssistedConfig, make_trainer
from ir_drl.assisted.assisted_config import HOPPING
from ir_drl.export import Export, score
from ir_drl.policies import load_policy
from ir_drl.train_agent import main
from ir_sim.tasks import make_task

torch.set_num_threads(1)  # the networks are too small for more
SETTINGS = """
sac: {hidden: [16], batch: 16}
epoch_steps: 60
start_steps: 30
capacity: 500
evaluation_episodes: 1
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    return str(path)


def records(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "records.json").read_text())["epochs"]


def test_trains_resumes_and_plots(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboardX")
    options = ["Pendulum-v1", "--config", config, "--out", str(tmp_path / "a"), "--seed", "3"]
    main([*options, "--epochs", "1"])
    first = records(tmp_path / "a")
    main([*options, "--epochs", "2", "--resume", "--tensorboard"])
    both = records(tmp_path / "a")
    assert len(first) == 1 and len(both) == 2 and both[0] == first[0]
    shown = capsys.readouterr().out
    assert "epoch    2" in shown and "falls" in shown
    assert (tmp_path / "a" / "training.png").stat().st_size > 1000
    assert list((tmp_path / "a" / "tensorboard").glob("events*"))
    main([*options[:4], str(tmp_path / "b"), "--seed", "3", "--epochs", "2"])  # without interruption
    alike = ("falls", "training_returns", "evaluation_returns", "metrics")
    assert [[one[key] for key in alike] for one in records(tmp_path / "b")] == [[e[key] for key in alike] for e in both]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["NoSuch-v1"], "NoSuch-v1: environment cannot be made"),
        (["no_such_module:X-v0"], "environment cannot be made"),
        (["CartPole-v1"], "must be vectors"),
        (["Pendulum-v1", "--algorithm", "gan", "--config", "FILE"], "run.yaml says sac; leave one out"),
        (["Pendulum-v1", "--device", "warp"], "--device warp: cannot be used"),
        (["Pendulum-v1", "--epochs", "0"], "command line: epochs"),
        (["Pendulum-v1", "--threads", "0"], "--threads"),
        (["Pendulum-v1", "--resume"], r"checkpoint.pt: checkpoint cannot be read"),
        (["Pendulum-v1", "--config", "missing.yaml"], "missing.yaml: cannot be read"),
        (["Pendulum-v1", "--set", "g=["], "--set g=[: [ is no value in YAML"),
        (["ir/CartNavigation-v0", "--set", "latency=-1"], "latency must be at least 0"),
        (["ir/CartNavigation-v0", "--set", "latency=.inf"], "latency must be at least 0 and finite"),
    ],
)
def test_a_mistake_is_one_line_and_status_78(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text("algorithm: sac\n")
    options = [str(tmp_path / "run.yaml") if option == "FILE" else option for option in options]
    with pytest.raises(SystemExit) as ended:
        main([*options, "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert ended.value.code == 78
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_told(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["Pendulum-v1", "--config", config, "--out", f"{config}/run"])
    error = capsys.readouterr().err
    assert ended.value.code == 78 and "cannot be made (Not a directory)" in error and error.count("\n") == 1


@pytest.mark.parametrize("algorithm", ["predict", "best"])
def test_an_epoch_without_updates_is_shown(
    algorithm: str, tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The paper's first 1,000 steps are one epoch, and random."""
    Path(config).write_text(SETTINGS.replace("start_steps: 30", "start_steps: 60"))
    environment = "ir_drl.environments:ir/HopperHop-v0"
    main([environment, "--algorithm", algorithm, "--config", config, "--epochs", "1", "--out", str(tmp_path / "a")])
    assert "alpha        -" in capsys.readouterr().out
    pace = json.loads((tmp_path / "a" / "records.json").read_text())["config"]["pace"]
    assert pace == (None if algorithm == "predict" else HOPPING.model_dump())


def test_a_run_is_not_overwritten(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(SystemExit):
        main(["Pendulum-v1", "--config", config, "--out", str(tmp_path)])
    assert "holds a run already" in capsys.readouterr().err


def test_trains_with_a_model_of_the_robot(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    twin = "{period: 20, first_fit_steps: 3, fit_steps: 3, starts: 8, max_error: 1000, veto: none, preset: live}"
    Path(config).write_text(f"{SETTINGS}twin: {twin}\n")
    options = ["Pendulum-v1", "--config", config, "--out", str(tmp_path / "a"), "--algorithm", "predict"]
    main([*options, "--epochs", "1"])
    main([*options, "--epochs", "2", "--resume"])
    shown = capsys.readouterr().out
    assert "twin error" in shown and "predicted 24" in shown
    assert records(tmp_path / "a")[1]["metrics"]["rollout_steps"] == 1.0  # type: ignore[index]


def test_keeps_the_best_policy_of_a_robot_for_its_controller(tmp_path: Path, config: str) -> None:
    main(["ir/HopperHop-v0", "--config", config, "--out", str(tmp_path / "a"), "--epochs", "3"])
    about = json.loads((tmp_path / "a" / "policy.json").read_text())
    assert about["task"] == "hopper_hop" and about["seed"] == 0 and "HopperHop-v0" in about["command"]
    task = make_task("hopper")
    policy, environment = load_policy(tmp_path / "a" / "policy.npz", task), gymnasium.make("ir/HopperHop-v0")
    observation, _ = environment.reset(seed=0)
    total, terminated = 0.0, False
    while not terminated:
        observation, reward, terminated, _, _ = environment.step(policy.act(observation).astype(np.float32))
        total += float(reward)
    assert total == pytest.approx(about["episodes"][0]["return"], abs=0.06)
    assert about["score"] == pytest.approx(np.mean([one["return"] for one in about["episodes"]]), abs=0.06)


def test_a_run_that_goes_on_keeps_its_better_policy(tmp_path: Path) -> None:
    small = AssistedConfig(sac={"hidden": (16,)}, epochs=1, epoch_steps=20, start_steps=10, evaluation_episodes=0)
    trainer = make_trainer(lambda: gymnasium.make("ir/HopperHop-v0"), small, "hopper")
    Export(tmp_path, trainer.environment, trainer, "").epoch()
    list(trainer.run())
    for best, replaced in ((1e9, False), (-1e9, True)):
        about = json.loads((tmp_path / "policy.json").read_text()) | {"score": best}
        (tmp_path / "policy.json").write_text(json.dumps(about))
        before = (tmp_path / "policy.npz").read_bytes()
        Export(tmp_path, trainer.environment, trainer, "").epoch()
        assert ((tmp_path / "policy.npz").read_bytes() != before) == replaced


def test_who_reaches_the_goal_soon_scores_more_than_who_stands_still() -> None:
    spider = make_task("spider")
    limit = spider.time_limit
    assert score(limit, 80.0, 100, "goal") > score(limit, 600.0, limit, "time_limit")


def test_a_damaged_record_of_the_best_policy_is_told(tmp_path: Path) -> None:
    small = AssistedConfig(sac={"hidden": (16,)}, epochs=1, epoch_steps=20, start_steps=10, evaluation_episodes=0)
    trainer = make_trainer(lambda: gymnasium.make("ir/HopperHop-v0"), small, "hopper")
    list(trainer.run())
    (tmp_path / "policy.json").write_text("{")
    with pytest.raises(ConfigError, match="policy.json: is damaged"):
        Export(tmp_path, trainer.environment, trainer, "")

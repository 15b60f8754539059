# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import yaml

from ir_common.config import ConfigError, load_yaml
from ir_lab.experiment import results
from ir_lab.experiment.comparison import compare, half_width, numbers_of, rows
from ir_lab.experiment.plan import Experiment, check_words
from ir_lab.experiment.runner import Store, missing
from ir_twin.bringup.arguments import share

LOAD = {"kind": "load", "at": 1, "duration": 1, "robot": "cart"}


def read(tmp_path, **content):
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_yaml(file, Experiment)


def test_factors_make_every_combination(tmp_path):
    experiment = read(tmp_path, factors={"twin": ["off", "enforce"], "slices": ["a/good.yaml", "poor"]}, seeds=2)
    assert [variant.name for variant in experiment.all_variants()] == [
        "off+good", "off+poor", "enforce+good", "enforce+poor",
    ]  # fmt: skip
    runs = experiment.runs()
    assert len(runs) == 8
    assert runs[1].words == ("twin:=off", "slices:=poor")
    assert [run.seed for run in runs] == [1] * 4 + [2] * 4, "seed by seed: a part of the runs is already a comparison"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "either variants or factors"),
        ({"factors": {"twin": ["off"]}, "variants": [{"name": "a"}]}, "either variants or factors"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "stands twice"),
        ({"variants": [{"name": "a"}], "compare_with": "b"}, "no variant 'b'"),
        ({"variants": [{"name": "a", "arguments": {"seed": 3}}]}, "argument seed: the experiment gives it itself"),
        ({"variants": [{"name": "a"}], "arguments": {"learn_folder": "x"}}, "go on from another's agent"),
        ({"variants": [{"name": "a"}], "seeds": []}, "a number from 1 up"),
        ({"variants": [{"name": "a"}], "seeds": 0}, "a number from 1 up"),
        ({"variants": [{"name": "a"}], "faults": [LOAD]}, "needs slice"),
        ({"variants": [{"name": "a/b"}]}, "variants.0.name"),
        ({"variant": []}, "did you mean 'variants'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(tmp_path, content, text):
    with pytest.raises(ConfigError, match=text) as error:
        read(tmp_path, **content)
    assert "\n" not in str(error.value)
    assert "experiment.yaml:" in str(error.value)


def test_the_experiment_that_learns_is_one_for_each_algorithm():
    experiment = load_yaml(share() / "config" / "experiments" / "learns_live.yaml", Experiment)
    runs = [run for run in experiment.runs() if run.seed == 1]
    assert [run.variant for run in runs] == ["sac", "predict", "gan"]
    for run in runs:
        check_words(run)


def test_numbers_of_a_report_leave_out_how_it_was_made():
    report = {
        "arguments": {"seed": 3}, "wall_seconds": 2.0, "simulated_seconds": 9.0,
        "robots": {"cart": {"falls": 2, "task": "x", "verdicts": {"latency_seconds": {"p99": None}}}},
        "slices": {"a": {"balanced": True}},
    }  # fmt: skip
    assert numbers_of(report) == {"simulated_seconds": 9.0, "robots.cart.falls": 2.0, "slices.a.balanced": 1.0}


def test_comparison_by_hand():
    """Differences are paired by seed: 1, 1, 1 here, though the variants overlap."""
    reports = {
        "off": {seed: {"x": value} for seed, value in ((1, 10.0), (2, 20.0), (3, 30.0))},
        "on": {seed: {"x": value} for seed, value in ((1, 11.0), (2, 21.0), (3, 31.0))},
    }
    table = compare(reports, "off")
    on = table["x"]["on"]
    assert (on.mean, on.difference, on.seeds) == (21.0, 1.0, 3)
    assert on.difference_half_width == pytest.approx(0.0, abs=1e-12)
    assert on.half_width == pytest.approx(4.302653 * 10.0 / math.sqrt(3), rel=1e-6)
    assert math.isnan(table["x"]["off"].difference)
    assert rows(table)[0]["difference"] is None


def test_one_seed_has_no_interval():
    assert math.isnan(half_width([1.0]))


def test_a_store_knows_its_runs_again(tmp_path):
    experiment = read(tmp_path, variants=[{"name": "a"}, {"name": "b", "arguments": {"twin": "off"}}], seeds=[3])
    store, runs = Store(tmp_path / "out", "commit"), experiment.runs()
    assert missing(runs, store) == runs
    store.save(runs[0], {"x": 1.0})
    assert missing(runs, store) == runs[1:]
    assert store.load(runs[0]) == {"x": 1.0}
    assert missing(runs, Store(tmp_path / "out", "another commit")) == runs, "other code, other numbers"
    (tmp_path / "out" / "a-3.json").write_text("{")
    assert missing(runs, store) == runs, "half a file is no report"


def test_results_are_written(tmp_path):
    rng = np.random.default_rng(1)
    reports = {v: {s: {"x": float(rng.normal()), "y": 1} for s in (1, 2, 3)} for v in ("a", "b")}
    table = compare(reports, "a")
    written = results.write(tmp_path, {"experiment": "test"}, table, ["x"])
    assert {"result.json", "result.csv", "result.png"} <= {path.name for path in written}
    assert (tmp_path / "result.csv").read_text().splitlines()[0].split(",") == list(results.COLUMNS)
    assert (tmp_path / "result.png").read_bytes()[:4] == b"\x89PNG"

# SPDX-License-Identifier: Apache-2.0
"""Pictures over a radio that carries too little: with adaptation they are fewer and smaller, and not seconds late."""

from pathlib import Path

import pytest
import yaml

from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

SLICES = Path(__file__).parents[3] / "config" / "slices.yaml"
NARROW = {"bandwidth": 0.18e6, "resource_blocks": 1, "tx_power": -46.0}
"""About a quarter of what the cart's camera makes."""


def video(folder, adapt):
    slices = yaml.safe_load(SLICES.read_text())
    slices["carrier"] |= NARROW
    for template in slices["templates"]:
        template["rate"] *= 5e-4
    parameters = {"/simulator": {"ros__parameters": {"adapt_cameras": adapt}}}
    files = {"slices": slices, "params_file": parameters}
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    words = [f"{name}:={folder / name}.yaml" for name in files]
    run = ModelRun(parse(["robots:=cart", "twin:=off", "duration:=8", *words]))
    return run.to_end()["slices"]["video"]


def test_pictures_fit_into_what_the_radio_carries(tmp_path):
    free, fitted = video(tmp_path, False), video(tmp_path, True)
    assert free["offered"]["messages"] == 80 and free["queued"]["messages"] > 10
    assert fitted["queued"]["messages"] <= 2
    assert fitted["delay_seconds"]["p50"] < free["delay_seconds"]["p50"] / 2
    assert fitted["offered"]["bytes"] / fitted["offered"]["messages"] == pytest.approx(2500, rel=0.5)  # of 5,000 B

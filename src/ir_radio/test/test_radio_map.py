# SPDX-License-Identifier: Apache-2.0
"""The map of the radio: it is what a robot there has; the command, and its refusals."""

import numpy as np
import pytest

from ir_radio.engine.cell import Cell
from ir_radio.engine.map_command import main
from ir_radio.model.carrier import Carrier
from ir_radio.model.radio_map import radio_map

FACTORY = {
    "propagation": {"scenario": "inf_dh"}, "position": (0.0, 0.0, 8.0), "neighbours": ((30.0, 0.0, 8.0),),
    "tx_power": 10.0, "interference": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("keys", [{}, {"shadowing": 6.0}, FACTORY])
def test_a_robot_has_what_the_map_says(keys):
    carrier = Carrier.model_validate(keys)
    found = radio_map(carrier, (-20.0, -10.0), (40.0, 20.0), 5.0, 0.5, seed=3)
    assert found.sinr.shape == (4, 8) and found.x[0] == -17.5 and found.y[-1] == 7.5
    cell = Cell(carrier, seed=3)
    for row, y in enumerate(found.y):
        for column, x in enumerate(found.x):
            robot = f"r{row}_{column}"
            cell.set_pose(robot, (x, y, 0.5))
    links = {link.robot: link for link in cell.report().links}
    for (row, column), sinr in np.ndenumerate(found.sinr):
        link = links[f"r{row}_{column}"]
        assert link.snr == pytest.approx(sinr, abs=1e-6) and link.station == found.station[row, column]
        assert link.rate * carrier.resource_blocks == pytest.approx(found.rate[row, column], rel=1e-6)


def test_decibels_are_whole_and_say_where_there_is_no_coverage():
    found = radio_map(Carrier(), (0.0, 0.0), (20_000.0, 10.0), 10.0, 0.0, seed=0)
    level = found.decibels()
    assert level.dtype == np.int8 and level[0, -1] == -1
    assert abs(level[0, 20] - found.sinr[0, 20]) <= 0.5
    assert ((level == 0) == ((found.sinr < 0.5) & (found.rate > 0.0))).all() and (level == 0).any()
    assert (radio_map(Carrier(tx_power=200.0), (0.0, 0.0), (20.0, 20.0), 5.0, 0.0, seed=0).decibels() == 100).all()


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="cells"):
        radio_map(Carrier(), (0.0, 0.0), (1e6, 1e6), 0.1, 0.0, seed=0)


@pytest.mark.parametrize(
    "text", ["carrier: nr\n", "tx_power: 10.0\n", "link: {profile: nr, distance: 2.0}\ntf: true\n"]
)
def test_the_command_draws(text, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    out = tmp_path / "map.png"
    assert main([str(tmp_path / "a.yaml"), "--out", str(out), "--cell", "5"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG") and "% covered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere.yaml"], "cannot be read"),
        (["nr", "--cell", "0"], "must be positive"),
        (["nr", "--cell", "1e-9"], "cells"),
        (["nr", "--cell", "20", "--out", "/nowhere/a.png"], "give another --out"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, capsys):
    assert main(arguments) == 78
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1

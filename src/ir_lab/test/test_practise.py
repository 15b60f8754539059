# SPDX-License-Identifier: Apache-2.0
"""What the twin practises before it is shipped: the plan, what is kept of it, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_lab.practise import BLOCK, PracticeRadio, main, read_practice, slices_of, thinned

PLAN = Path(__file__).resolve().parents[3] / "config" / "practice.yaml"


def test_the_plan_practises_and_knows_with_and_without_exploration() -> None:
    plan = read_practice(PLAN)
    for sessions in (plan.sessions, plan.known):
        assert {0.0, 0.3} <= {session.exploration for session in sessions}
    assert {session.radio for session in plan.sessions} == set(plan.carriers)


def test_a_plan_with_an_unknown_radio_is_refused(tmp_path: Path) -> None:
    text = PLAN.read_text().replace("radio: poor", "radio: worse")
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(ConfigError, match="radio worse is none of good, loaded, poor"):
        read_practice(tmp_path / "plan.yaml")


def test_a_radio_changes_carrier_and_guarantees() -> None:
    usual, other = slices_of(PracticeRadio()), slices_of(PracticeRadio(carrier={"tx_power": -22.0}, guaranteed=0.5))
    assert other["carrier"] == usual["carrier"] | {"tx_power": -22.0}
    rates = [[template["rate"] for template in slices["templates"]] for slices in (usual, other)]
    assert rates[1] == [0.5 * rate for rate in rates[0]]


@pytest.mark.parametrize(("count", "kept"), [(64, 64), (1000, 400), (70, 64), (5, 5)])
def test_rows_are_thinned_in_whole_blocks_from_first_to_last(count: int, kept: int) -> None:
    """Successive rows stay so, since their states are written once where they are compressed."""
    rows = np.arange(400, dtype=np.float32)[:, None] if count > 5 else np.arange(7, dtype=np.float32)[:, None]
    thin = thinned(rows, count)
    assert len(thin) == kept
    if count > 5:
        blocks = thin.reshape(-1, BLOCK)
        assert np.array_equal(np.diff(blocks, axis=1), np.ones((len(blocks), BLOCK - 1)))
        assert blocks[0, 0] == 0 and blocks[-1, -1] == 399
        assert len(np.unique(blocks[:, 0])) == len(blocks)


def test_a_folder_that_holds_checkpoints_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cart_navigation.npz").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path), "--plan", str(PLAN)])
    assert ended.value.code == 78
    assert "is there already" in capsys.readouterr().err

# SPDX-License-Identifier: Apache-2.0
"""Generated traffic has the law written down; measured traces are read or refused with file, line and column."""

import zipfile

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_slicing.learning import trace_devices
from ir_slicing.learning.device_traffic import TrafficConfig, generate

FLAT = {"rates": (1e5,), "day_amplitude": 0.0, "device_spread": 0.0}


def test_same_seed_same_traffic():
    config = TrafficConfig(devices=4)
    first = generate(config, 20, 2, 5)
    assert first.shape == (20, 2, 6, 4) and first.dtype == np.float32 and (first > 0).all()
    assert (first == generate(config, 20, 2, 5)).all()
    assert (first != generate(config, 20, 2, 6)).any()
    assert (first[:, 0] != first[:, 1]).any()


@pytest.mark.parametrize("c", [0.0, 0.5, 1.0])
def test_a_single_device_has_the_same_law_for_every_correlation(c):
    d = generate(TrafficConfig(devices=200, correlation=c, lines=50, **FLAT), 4000, 1, 1)[:, 0, 0] / 1e5
    lagged = np.mean([np.corrcoef(d[:-1, u], d[1:, u])[0, 1] for u in range(200)])
    assert d.mean() == pytest.approx(1.0, rel=0.03)
    # by hand: (e^0.36 - 1 + 0.1584 / 0.64) / 1.1^2 = 0.563, and (e^0.216 - 1 + 0.6 * 0.1584 / 0.64) / 0.563 / 1.1^2
    assert d.std(axis=0).mean() == pytest.approx(0.75, rel=0.04)
    assert lagged == pytest.approx(0.572, abs=0.03)


def strongest(c):
    """Mean over devices of the largest correlation with any other device at any lag up to 6."""
    d = generate(TrafficConfig(devices=12, lines=1, max_lag=6, correlation=c, **FLAT), 3000, 1, 2)[:, 0, 0]
    z = (d - d.mean(0)) / d.std(0)
    lags = [z[6:].T @ z[6 - k : len(z) - k] / (len(z) - 6) for k in range(7)]
    both = np.maximum(np.max(lags, axis=0), np.max(lags, axis=0).T) - 10 * np.eye(12)
    return both.max(axis=1).mean()


def test_correlation_is_what_the_parameter_says():
    assert strongest(0.0) < 0.1
    assert 0.2 < strongest(0.5) < 0.8
    assert strongest(1.0) > 0.99


def test_work_reaches_the_devices_of_a_line_one_after_the_other():
    d = generate(TrafficConfig(devices=8, lines=1, correlation=1.0, max_lag=5, **FLAT), 500, 1, 4)[:, 0, 0]
    first = d[:, 0]
    for u in range(8):
        match = [np.allclose(d[10 + k : 480 + k, u], first[10:480], rtol=1e-3) for k in range(-5, 6)]
        assert sum(match) == 1


def test_the_day_has_its_shape():
    d = generate(TrafficConfig(devices=300, rates=(1.0,), day=24, lines=300), 24 * 40, 1, 1)[:, 0, 0].mean(axis=1)
    profile = d.reshape(-1, 24).mean(axis=0)
    assert profile.max() == pytest.approx(1.4, rel=0.1) and profile.min() == pytest.approx(0.6, rel=0.12)


HEADER = "Timestamp,Longitude,Speed,RSRP,RSRQ,SNR,CQI,DL_bitrate,UL_bitrate,State"


def row(second, down=1000, snr="7.0", up=10):
    return f"2019.12.16_13.40.{second:02d},-8.3,36,-103,-15,{snr},15,{down},{up},D"


def write(path, *rows, header=HEADER):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_trace_in_si_units_with_gaps_and_doubled_seconds(tmp_path):
    file = write(tmp_path / "a.csv", row(0, 1000, "-"), row(1, 2000), row(1, 4000), row(7, 500), row(6, 700))
    (trace,) = trace_devices.load(file)
    assert trace.time.tolist() == [0, 1, 1, 7, 7]  # the clock never runs back
    assert trace.values["DL_bitrate"][:2].tolist() == [1e6, 2e6]
    assert trace.values["Speed"][0] == pytest.approx(10.0)
    assert np.isnan(trace.values["SNR"][0])
    assert trace.resample("DL_bitrate", 2.0).tolist() == pytest.approx([7e6 / 3, 7e6 / 3, 7e6 / 3, 6e5])
    assert trace.resample("SNR", 1.0)[0] == 7.0  # nothing before: the first that is known


def test_folder_archive_and_devices(tmp_path):
    rows = [row(s, 100 * s) for s in range(10)]
    write(tmp_path / "d" / "x.csv", *rows)
    write(tmp_path / "d" / "sub" / "y.csv", *rows[:4])
    archive = tmp_path / "t.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.write(tmp_path / "d" / "x.csv", "x.csv")
        out.writestr("__MACOSX/x.csv", "rubbish")
    assert len(trace_devices.load(tmp_path / "d")) == 2
    (one,) = trace_devices.load(archive)
    matrix = trace_devices.device_matrix([one], period=1.0, steps=5)
    assert matrix.shape == (5, 2)
    assert matrix[:, 1].tolist() == [5e5, 6e5, 7e5, 8e5, 9e5]
    with pytest.raises(ConfigError, match="the longest has 10"):
        trace_devices.device_matrix([one], period=1.0, steps=11)


@pytest.mark.parametrize(
    ("rows", "header", "told"),
    [
        ([row(0), row(1, down="fast")], HEADER, r"a\.csv:3: DL_bitrate: 'fast' is no number"),
        ([row(0, down="inf")], HEADER, r"a\.csv:2: DL_bitrate: 'inf'"),
        ([row(0, down="-1")], HEADER, r"a\.csv:2: DL_bitrate: -1 is out of range: a rate"),
        ([row(0)], HEADER.replace("Timestamp", "Time"), r"a\.csv:1: column Timestamp is missing"),
        (["yesterday" + row(0)[19:]], HEADER, r"a\.csv:2: Timestamp: 'yesterday'"),
        (["2019.12.16_13.40.00,-8.3"], HEADER, r"a\.csv:2: the row is cut off: 2 fields of 10"),
        ([], HEADER, r"a\.csv: holds no row"),
    ],
)
def test_bad_traces_name_file_line_and_column(tmp_path, rows, header, told):
    with pytest.raises(ConfigError, match=told):
        trace_devices.load(write(tmp_path / "a.csv", *rows, header=header))


def test_a_column_that_is_missing_is_missed_when_it_is_used(tmp_path):
    (trace,) = trace_devices.load(write(tmp_path / "a.csv", row(0), header=HEADER.replace("SNR", "SINR")))
    assert trace.resample("DL_bitrate", 1.0).tolist() == [1e6]
    with pytest.raises(ConfigError, match=r"a\.csv: no column 'SNR'; there are: .*CQI"):
        trace.resample("SNR", 1.0)


def test_missing_empty_or_broken_places(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        trace_devices.load(tmp_path / "no.csv")
    with pytest.raises(ConfigError, match="holds no CSV file"):
        trace_devices.load(tmp_path)
    (tmp_path / "b.zip").write_text("no archive")
    with pytest.raises(ConfigError, match="is not a ZIP archive"):
        trace_devices.load(tmp_path / "b.zip")
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="begins like UTF-16 text, but is not"):
        trace_devices.load(tmp_path / "c.csv")

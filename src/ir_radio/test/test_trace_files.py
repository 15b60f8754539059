# SPDX-License-Identifier: Apache-2.0
"""Files that other people bring: each is read as it is meant, or refused in one line with file, line and what to do."""

import csv
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_radio.model import trace_files
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace, delay_trace, layout_of, load_links, load_trace
from ir_radio.model.slice_specs import TraceSpec
from ir_radio.model.trace_files import Trace, load, parse

NAMES = "Timestamp,Longitude,Latitude,Speed,Operatorname,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,RAWCELLID,NRxRSRP"


def row(
    time: str = "2020.01.01_10.00.00", snr: str = "10", cqi: str = "10", down: str = "1000", name: str = "B"
) -> str:
    return f"{time},-8.4,51.8,0,{name},{snr},{cqi},-,{down},100,D,-,-"


def second(number: int, **values: str) -> str:
    return row(f"2020.01.01_10.00.{number:02d}", **values)


def text(*rows: str, names: str = NAMES) -> str:
    return "".join(f"{line}\n" for line in (names, *rows))


def read(data: str | bytes, **spec: object) -> Trace:
    made = TraceSpec(robot="cart", trace="a.csv", **spec)  # type: ignore[arg-type]
    return parse(data.encode() if isinstance(data, str) else data, "a.csv", layout_of(made))


def snr(data: str | bytes, **spec: object) -> list[float]:
    return read(data, **spec).values["snr"].tolist()


OK = text(second(0), second(1, snr="11"))
READ = {
    "bom": b"\xef\xbb\xbf" + OK.replace("\n", "\r\n").encode(),
    "utf16": OK.encode("utf-16"),
    "semicolon": OK.replace(",", ";"),
    "tab": OK.replace(",", "\t"),
    "spaces after commas": OK.replace(NAMES, NAMES.replace(",", ", ")),
    "latin1": text(second(0, name="M\xf6vzen"), second(1, snr="11")).encode("latin-1"),
    "quoted line end": text(second(0, name='"B\nC"'), second(1, snr="11")),
    "trailing comma": text(*(f"{one}," for one in (second(0), second(1, snr="11")))),
    "blank lines": text(second(0), "", second(1, snr="11"), "", " "),
    "old Mac": OK.replace("\n", "\r"),
    "ISO": text(row("2020-01-01 10:00:00"), row("2020-01-01 10:00:01", snr="11")),
    "ISO with zone": text(row("2020-01-01T10:00:00.5Z"), row("2020-01-01T12:00:01.5+02:00", snr="11")),
    "epoch": text(row("1577872800.5"), row("1577872801.5", snr="11")),
    "epoch in ms": text(row("1577872800500"), row("1577872801500", snr="11")),
    "seconds from 0": text(row("0"), row("1.0", snr="11")),
    "only what is used": "Timestamp,SNR\n0,10\n1,11\n",
    "decimal comma": "Timestamp;SNR\n0,0;10,0\n1,0;11,0\n",
}


@pytest.mark.parametrize("case", READ)
def test_what_is_read_as_it_is_meant(case: str) -> None:
    trace = read(READ[case])
    assert trace.time.tolist() == [0.0, 1.0] and trace.values["snr"].tolist() == [10.0, 11.0] and not trace.notes


@pytest.mark.parametrize("missing", ["", "-", "nan", "null", "NA", "2147483647", "-2147483648"])
def test_what_stands_for_no_value_repeats_the_one_before(missing: str) -> None:
    trace = read(text(second(0), second(1, snr=missing), second(2, snr="12")))
    assert trace.resample("snr", 1.0).tolist() == [10.0, 10.0, 12.0]


REFUSED = {
    "empty": ("", r"a\.csv: is empty"),
    "only a header": (text(), r"a\.csv: holds no row under its header"),
    "cut row": (text(second(0), "2020.01.01_10.00.01,-8.4,51.8"), r"a\.csv:3: the row is cut off: 3 fields of 13, SNR"),
    "cut in the number": ("Timestamp,SNR,CQI\n0,10,1\n1,1\n", r"a\.csv:3: the row is cut off: 2 fields of 3"),
    "NUL": (text(second(0)) + "\0\0\0\0\n", r"a\.csv:3: holds NUL bytes"),
    "lone CR": (text(second(0), second(1).replace("D", "D\r")), r"a\.csv:3: a carriage return stands within the line"),
    "huge field": (text(second(0), "9" * 200_000 + second(1)), r"a\.csv:3: field larger than field limit"),
    "open quote": (text(second(0), second(1, name='"' + "x" * 200_000)), r"a\.csv:3: field larger .* a quote"),
    "another column": (OK.replace("SNR", "SINR"), r"a\.csv:1: column SNR is missing; there are: Timestamp, Long"),
    "another layout": (OK.replace("SNR", "SINR"), "say which is which, by the keys time and snr, cqi, rate or delay"),
    "mahimahi": ("0\n0\n1\n5\n", "are read with the key layout: mahimahi"),
    "words": (text(second(0, snr="high")), r"a\.csv:2: SNR: 'high' is no number; write -"),
    "infinite": (text(second(0, snr="inf")), r"a\.csv:2: SNR: 'inf' is no number"),
    "giant": (text(second(0, snr="1e300")), r"a\.csv:2: SNR: 1e300 is out of range: an SNR is from"),
    "no time": (text(row("yesterday")), r"a\.csv:2: Timestamp: 'yesterday' is no time; give a time such as 2019"),
    "two kinds of time": (text(row("5"), second(1)), r"a\.csv:3: Timestamp: '2020.01.01_10.00.01' is written in"),
    "decimal comma": ("Timestamp,SNR\n0,10,5\n", r"a\.csv:2: 3 fields under 2 column names; put what holds"),
    "quoted line end": (text(row('"0\n0"')), r"a\.csv:2: Timestamp: '0 0' is no time"),
    "line end in a heading": ('"Time\nstamp",SNR\n0,1\n', r"a\.csv:1: column Timestamp is missing; .*: Time stamp"),
    "half a character": (b"\xff\xfe\x00", "begins like UTF-16 text, but is not; save it as UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_one_line_that_says_where_and_what_to_do(case: str) -> None:
    data, told = REFUSED[case]
    with pytest.raises(ConfigError, match=told) as error:
        read(data)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("spec", "values", "told"),
    [
        ({"column": "CQI"}, {"cqi": "20"}, "CQI: 20 is out of range: a CQI is from 0 to 15"),
        ({"column": "CQI"}, {"cqi": "-1"}, "CQI: -1 is out of range: a CQI"),
        ({"column": "DL_bitrate"}, {"down": "-5"}, "DL_bitrate: -5 is out of range: a rate in bit/s is not negative"),
        (
            {"delay": {"column": "DL_bitrate"}},
            {"down": "-5"},
            "DL_bitrate: -5 is out of range: a delay is from 0 to 600 s; of clocks that were not in",
        ),
        (
            {"delay": {"column": "DL_bitrate"}},
            {"down": "601"},
            "DL_bitrate: 601 is out of range: a delay is from 0 to 600 s",
        ),
    ],
)
def test_values_that_cannot_be(spec: dict, values: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"a\.csv:3: {told}"):
        read(text(second(0, down="0"), second(1, **values)), **spec)


def test_columns_by_name_with_units() -> None:
    lumos = "run_num,seq_num,lte_rssnr,nr_ssSinr,Throughput\n1,1,2147483647,17,82\n1,2,2147483647,18,120\n"
    trace = read(lumos, time="seq_num", rate={"column": "Throughput", "unit": "Mbit/s"})
    assert trace.values["rate"].tolist() == [82e6, 120e6] and trace.time.tolist() == [0.0, 1.0]
    assert snr(lumos, time="seq_num", snr="nr_ssSinr") == [17.0, 18.0]
    delays = "send_ms,one_way_ms\n0.0,17.526\n10.102,12.381\n"
    trace = read(delays, time={"column": "send_ms", "unit": "ms"}, delay={"column": "one_way_ms", "unit": "ms"})
    assert trace.time == pytest.approx([0.0, 0.010102]) and trace.values["delay"] == pytest.approx([0.017526, 0.012381])


def test_a_mahimahi_trace_gives_the_rate_of_its_packets() -> None:
    assert read("0\n0\n1\n5\n5\n8\n", layout="mahimahi").resample("rate", 1.0).tolist() == [6 * 12_000 / 0.008]
    two = "".join(f"{ms}\n" for ms in (*range(0, 1000, 10), 1500, 2000))
    assert read(two, layout="mahimahi").resample("rate", 1.0).tolist() == [1.2e6, 24e3]
    with pytest.raises(ConfigError, match=r"a\.csv:2: 'x' is no time"):
        read("0\nx\n", layout="mahimahi")


@pytest.mark.parametrize("later", ["2020.03.01_10.00.01", "2069.01.01_10.00.01"])
def test_a_gap_of_days_or_years_is_shortened_said_and_costs_no_memory(later: str) -> None:
    """A file of three lines took 12 GiB."""
    tracemalloc.start()
    trace = read(text(row(), row(later, snr="20")))
    values = trace.resample("snr", 1.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000
    assert values.tolist() == [10.0] * 60 + [20.0]
    (note,) = trace.notes
    assert note.startswith("a.csv:3: the clock jumps ahead by ") and note.endswith("shortened to 60 s")
    assert read(text(row(), row(later)), gap=5.0).time.tolist() == [0.0, 5.0]


def test_a_clock_that_was_set_goes_on_and_a_late_one_stands() -> None:
    seconds = (10, 11, 12, 3000, 3001, 9, 10, 11, 10, 12)
    trace = read("Timestamp,SNR\n" + "".join(f"{s},1\n" for s in seconds))
    assert trace.time.tolist() == [0, 1, 2, 62, 63, 64, 65, 66, 66, 67]
    assert [note.split(" by ")[0] for note in trace.notes] == [
        "a.csv:5: the clock jumps ahead", "a.csv:7: the clock jumps set back"
    ]  # fmt: skip


def test_a_trace_of_months_or_of_fine_periods_is_refused() -> None:
    months = Trace("a.csv", np.array([0.0, 9e6]), {"snr": np.array([1.0, 2.0])})
    with pytest.raises(ConfigError, match=r"a\.csv: 9e\+06 s are over 2000000 periods of 1 s; cut it"):
        months.resample("snr", 1.0)


def test_giant_files_are_refused_before_they_are_read(tmp_path, monkeypatch) -> None:
    import zipfile

    monkeypatch.setattr(trace_files, "MOST_BYTES", 1 << 20)
    (tmp_path / "a.csv").write_bytes(b"0" * (1 << 21))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb.csv", b"0" * (1 << 21))
    for path in ("a.csv", "b.zip"):
        with pytest.raises(ConfigError, match="is larger than 1 MiB; cut it"):
            load(tmp_path / path)


def test_files_with_capital_endings_are_found(tmp_path) -> None:
    (tmp_path / "UP.CSV").write_text(OK)
    assert load(tmp_path)[0].name.endswith("UP.CSV")


def test_delays_begin_end_halve_and_hold_one_way() -> None:
    data = "Timestamp,rtt\n" + "".join(f"{s},{10 * (s + 1)}\n" for s in range(4))
    column = {"column": "rtt", "unit": "ms", "round_trip": True, "direction": "uplink"}

    def made(**more: object) -> DelayTrace:
        spec = TraceSpec(robot="cart", trace="a.csv", delay=column, **more)
        return delay_trace(parse(data.encode(), "a.csv", layout_of(spec)), spec)

    again, once = made(start=2.0), made(start=2.0, loop=False)
    assert [again.at(t) for t in (0.0, 0.9, 1.0, 2.0, 3.5, 4.0)] == pytest.approx(
        [0.015, 0.015, 0.02, 0.005, 0.01, 0.015]
    )
    assert [once.at(t) for t in (0.0, 1.0, 99.0)] == pytest.approx([0.015, 0.02, 0.02])
    assert again.uplink and not again.downlink
    with pytest.raises(ConfigError, match="start at 4 s is after its end at 3 s"):
        made(start=4.0)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"snr": "a", "rate": "b"}, "snr and rate both give the rate of the link"),
        ({"layout": "mahimahi", "snr": "a"}, "a mahimahi trace has no columns; leave out snr"),
        ({"rate": {"column": "a", "unit": "bps"}}, "unit"),
        ({"column": None}, "nothing of it is used"),
    ],
)
def test_entries_that_contradict_themselves(spec: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        TraceSpec(robot="cart", trace="a.csv", **spec)


def test_rates_and_delays_of_one_file(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("Timestamp,SNR,ping\n0,10,0.02\n5000,11,0.03\n")
    spec = TraceSpec(robot="cart", trace="a.csv", column="SNR", delay="ping")
    links = load_links([spec], tmp_path, Carrier())
    assert links.rates["cart"].snr[0] == 10.0 and links.delays["cart"].delay.tolist() == [0.02, 0.03]
    assert len(links.notes) == 1
    assert load_trace(spec, tmp_path).time.tolist() == [0.0, 60.0]


def read_or_told(data: bytes, **spec: object) -> Trace | str:
    try:
        return read(data, **spec)
    except ConfigError as error:
        return str(error)


cells = st.text("0123456789.,;-:TZ \t\"'\0\r\nabc\ufeff\u20ac_+e", max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6), st.booleans(), st.sampled_from(["utf-8", "utf-16"])
)
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_a_line(rows, quoted, encoding) -> None:
    out = io.StringIO()
    if quoted:
        csv.writer(out).writerows(rows)
    else:
        out.write("\n".join(",".join(one) for one in rows))
    trace = read_or_told(("Timestamp,SNR\n" + out.getvalue()).encode(encoding))
    if isinstance(trace, str):
        assert trace.startswith("a.csv") and "\n" not in trace
        return
    assert len(trace.time) == len(trace.values["snr"]) > 0
    assert (np.diff(trace.time) >= 0.0).all() and (np.diff(trace.time) <= 60.0).all() and trace.time[0] == 0.0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_bytes(data: bytes) -> None:
    for spec in ({}, {"layout": "mahimahi"}):
        told = read_or_told(data, **spec)
        assert isinstance(told, Trace) or "\n" not in told

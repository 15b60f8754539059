# SPDX-License-Identifier: Apache-2.0
"""Files of measurements over time: CSV of a phone, a probe or a spreadsheet, and traces of mahimahi.

Without another layout, columns are those of D. Raca et al., "Beyond Throughput, The Next Generation: a 5G Dataset with
Channel and Context Metrics", ACM MMSys 2020 (public repository uccmisl/5Gdataset).
"""

from __future__ import annotations

import csv
import difflib
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_radio.model.trace_times import Clock
from ir_radio.model.trace_values import COLUMNS, ColumnLayout, number, shown

Floats = NDArray[np.float64]

MOST_BYTES = 64 << 20
"""Size up to which a file is read."""
MOST_PERIODS = 2_000_000
"""Periods up to which a trace is resampled."""
GAP = 60.0
"""Seconds to which a longer gap between two rows is shortened."""
DATASET = {name: ColumnLayout(name, factor) for name, factor in COLUMNS.items()}
"""Columns of the dataset's files, by their own names."""

_PACKET = 12_000  # bits that an opportunity of a mahimahi trace carries: an MTU of 1500 B (mm-link(1))
_SHOWN = 12  # column names in a message


@dataclass(frozen=True)
class Trace:
    """One file.

    Attributes:
        name: path inside the folder or archive.
        time: [row] float64, s since the first row, not falling.
        values: name -> [row] float64 in SI units and dB; NaN where the file says nothing.
        notes: what was done about its clock, one line each, for a person.
        headings: what the file calls its columns, where that is another name.
    """

    name: str
    time: Floats
    values: dict[str, Floats]
    notes: tuple[str, ...] = ()
    headings: Mapping[str, str] = field(default_factory=dict)

    def known(self, column: str) -> tuple[Floats, Floats]:
        """Times and values of the rows that have a value of a column, two [n] float64, n > 0.

        Raises:
            ConfigError: there is no such column, or no value in it.
        """
        if column not in self.values:
            raise ConfigError(f"{self.name}: no column '{column}'; there are: {', '.join(self.values)}")
        known = np.isfinite(self.values[column])
        if not known.any():
            raise ConfigError(f"{self.name}: column '{self.headings.get(column, column)}' holds no value")
        return self.time[known], self.values[column][known]

    def resample(self, column: str, period: float) -> Floats:
        """Means of a column over periods of the clock, [period]; a period without a row repeats the one before.

        Args:
            column: of `values`.
            period: s, positive.

        Raises:
            ConfigError: an unknown column, a period that is not positive or too short for so long a trace, or a column
                without a single value.
        """
        if not period > 0.0:
            raise ConfigError(f"period {period} s must be positive")
        time, values = self.known(column)
        if self.time[-1] / period >= MOST_PERIODS:
            raise ConfigError(
                f"{self.name}: {self.time[-1]:g} s are over {MOST_PERIODS} periods of {period:g} s; cut it"
            )
        place = (time // period).astype(int)
        length = int(self.time[-1] // period) + 1
        count = np.bincount(place, minlength=length)
        total = np.bincount(place, values, length)
        filled = np.maximum.accumulate(np.where(count > 0, np.arange(length), -1))
        filled[filled < 0] = place[0]
        return total[filled] / count[filled]


@dataclass(frozen=True)
class FileLayout:
    """How a file is read.

    Attributes:
        time: the column of times.
        columns: name in `Trace.values` -> column; of those that are not required, only those that are there are read.
        required: all the columns must be there.
        gap: s to which a longer gap is shortened.
        mahimahi: no columns: each line is the ms at which a packet of 1500 B may go; gives the rate.
    """

    time: ColumnLayout
    columns: Mapping[str, ColumnLayout]
    required: bool = True
    gap: float = GAP
    mahimahi: bool = False


DATASET_LAYOUT = FileLayout(ColumnLayout("Timestamp"), DATASET, required=False)


def load(path: Path, layout: FileLayout = DATASET_LAYOUT) -> list[Trace]:
    """Reads a file, or all CSV files of a folder or ZIP archive, in the order of their names.

    Args:
        path: also ``archive.zip/path/in/it.csv``, or a folder in it: archives are read directly.
        layout: of the files.

    Raises:
        ConfigError: nothing there, no CSV file in it, or a file that is not of that layout; the message names file,
            line and column.
    """
    archive = next((p for p in (path, *path.parents) if p.suffix == ".zip" and p.is_file()), None)
    try:
        if archive is None and not path.exists():
            raise ConfigError(
                f"{path}: there is no such file or folder; give a trace, or a folder or ZIP archive of traces"
            )
        if archive is not None:
            traces = _load_archive(archive, path.relative_to(archive).as_posix(), layout)
        else:
            files = sorted(p for p in path.rglob("*") if _is_csv(p.name)) if path.is_dir() else [path]
            traces = [parse(_read(file), str(file), layout) for file in files]
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    if not traces:
        raise ConfigError(f"{path}: holds no CSV file")
    return traces


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv")


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    _refuse_giants(str(file), len(data))
    return data


def _refuse_giants(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise ConfigError(
            f"{name}: is larger than {MOST_BYTES >> 20} MiB; cut it, or keep only the columns that are used"
        )


def _load_archive(path: Path, member: str, layout: FileLayout) -> list[Trace]:
    """The CSV files of an archive whose name is `member`, or begins with it as a folder; ".": all."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if _is_csv(n) and not n.startswith("__MACOSX/"))
            chosen = [n for n in names if member == "." or n == member or n.startswith(f"{member}/")]
            if names and not chosen:
                near = difflib.get_close_matches(member, names, n=1) or names[:1]
                raise ConfigError(f"{path}: there is no {member} in it; its CSV files are such as {near[0]}")
            for name in chosen:
                _refuse_giants(f"{path}/{name}", archive.getinfo(name).file_size)
            return [parse(archive.read(name), f"{path}/{name}", layout) for name in chosen]
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path}: is not a ZIP archive, or a damaged one ({error})") from None
    except (NotImplementedError, RuntimeError) as error:  # another compression, a password
        raise ConfigError(f"{path}: cannot be unpacked ({error}); unpack it, and give the folder") from None


def parse(data: bytes, name: str, layout: FileLayout = DATASET_LAYOUT) -> Trace:
    """One file.

    Raises:
        ConfigError: as for `load`.
    """
    lines = _lines(_decode(data, name), name)
    if layout.mahimahi:
        return _opportunities(lines, name, layout.gap)
    return _table(lines, name, layout)


def _decode(data: bytes, name: str) -> str:
    """The text of a file: UTF-16 and UTF-8 by their marks, UTF-8 without; else one byte is a character."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        if marked:
            raise ConfigError(f"{name}: begins like UTF-16 text, but is not; save it as UTF-8") from None
        text = data.decode("latin-1")  # names in a Western code page; numbers are ASCII in all of them
    if not text.strip():
        raise ConfigError(f"{name}: is empty; a trace has a line of column names and a row for each measurement")
    return text


def _lines(text: str, name: str) -> list[str]:
    """Lines with their ends. A file may end its lines by CR, LF or both, but in one way."""
    place = text.find("\0")
    if place >= 0:
        line = text.count("\n", 0, place) + 1
        raise ConfigError(
            f"{name}:{line}: holds NUL bytes: the file is not text, or was cut off; remove what is broken"
        )
    text = text.replace("\r\n", "\n")
    place = text.find("\r")
    if place >= 0 and "\n" in text:
        line = text.count("\n", 0, place) + 1
        raise ConfigError(
            f"{name}:{line}: a carriage return stands within the line; remove it, or break the line there"
        )
    return text.replace("\r", "\n").splitlines(keepends=True)


def _table(lines: list[str], name: str, layout: FileLayout) -> Trace:
    rows = _rows(lines, name)
    _, header = next(rows, (1, []))
    places: dict[str, int] = {}
    for index, heading in enumerate(header):
        places.setdefault(heading.strip(), index)
    width = max((index + 1 for index, column in enumerate(header) if column.strip()), default=0)
    chosen = [(key, column) for key, column in layout.columns.items() if layout.required or column.name in places]
    if lacking := [c.name for c in (layout.time, *(c for _, c in chosen)) if c.name not in places]:
        there = ", ".join(shown(column) for column in list(places)[:_SHOWN]) + (" …" if len(places) > _SHOWN else "")
        mend = "say which is which, by the keys time and snr, cqi, rate or delay of the trace"
        if len(header) == 1 and header[0].strip().isdecimal():
            mend = "times of packets, as this looks like, are read with the key layout: mahimahi"
        raise ConfigError(f"{name}:1: column {', '.join(lacking)} is missing; there are: {there}; {mend}")
    clock = Clock(layout.time, layout.gap, name)
    values: list[list[float]] = [[] for _ in chosen]
    comma = "," not in "".join(lines[:1])  # then it may stand in numbers: 10,5
    last = max(places[column.name] for column in (layout.time, *(c for _, c in chosen)))
    for line, row in rows:
        _check_width(row, last, width, header, f"{name}:{line}")
        time = row[places[layout.time.name]]
        clock.add(time.replace(",", ".") if comma else time, line)
        for (_, column), found in zip(chosen, values, strict=True):
            found.append(number(row[places[column.name]], column, f"{name}:{line}", comma))
    if not clock.times:
        raise ConfigError(f"{name}: holds no row under its header")
    columns = {key: np.array(found) for (key, _), found in zip(chosen, values, strict=True)}
    headings = {key: column.name for key, column in chosen}
    return Trace(name, np.array(clock.times), columns, tuple(clock.notes()), headings)


def _rows(lines: list[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, fields) of each row that is not blank, the header first."""
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter)
    line = 1
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(
            f"{name}:{line}: {error}: a quote that is not closed, or not a table; mend the line"
        ) from None


def _check_width(row: list[str], last: int, width: int, header: list[str], where: str) -> None:
    """Refuses a row that was cut before the end of what is read, or that has more than the header."""
    if len(row) <= last or (len(row) < width and len(row) == last + 1):  # a number may be cut, too
        text = f"the row is cut off: {len(row)} fields of {width}, {header[last].strip()} is not whole"
        raise ConfigError(f"{where}: {text}; remove the row, or write - for what is missing")
    if any(field.strip() for field in row[len(header) :]):
        text = f"{len(row)} fields under {width} column names"
        raise ConfigError(f"{where}: {text}; put what holds the delimiter, such as a decimal comma, into quotes")


def _opportunities(lines: list[str], name: str, gap: float) -> Trace:
    """The rate of a mahimahi trace: of each second, or of the rest of one at the end."""
    clock = Clock(ColumnLayout("opportunity", unit="ms"), gap, name, "")
    for line, text in enumerate(lines, 1):
        if text.strip():
            clock.add(text, line, relative=True)
    time = np.array(clock.times)
    if not len(time):
        raise ConfigError(f"{name}: holds no line with a time in ms")
    end = max(float(time[-1]), 1e-3)
    count = np.bincount((time // 1.0).astype(int), minlength=math.ceil(end))
    if end == int(end):  # what goes at the very end belongs to the last second
        count = np.append(count[: int(end) - 1], count[int(end) - 1 :].sum())
    length = np.minimum(1.0, end - np.arange(len(count)))
    return Trace(name, np.arange(len(count), dtype=float), {"rate": _PACKET * count / length}, tuple(clock.notes()))

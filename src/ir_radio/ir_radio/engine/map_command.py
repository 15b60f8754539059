# SPDX-License-Identifier: Apache-2.0
"""`./ir radio-map FILE`: the map of the radio as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import yaml

from ir_common.config import EXIT_CONFIG, ConfigError, load_yaml
from ir_radio.engine.radio_file import read_radio_file
from ir_radio.model.carrier import Carrier
from ir_radio.model.profiles import load_profile, profile_names
from ir_radio.model.radio_map import RadioMap, radio_map
from ir_radio.model.slice_specs import SlicesFile


def carrier_of(name: str) -> Carrier:
    """The carrier that a profile, a slices file, a file of `./ir radio` or a file of a carrier's keys names.

    Raises:
        ConfigError: there is no such file, or it is wrong.
    """
    if name in profile_names():
        return load_profile(name)
    try:
        keys = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        keys = None  # whoever reads it below says what is wrong
    if isinstance(keys, dict) and {"carrier", "slices", "templates"} & keys.keys():
        return load_yaml(name, SlicesFile).carrier
    if isinstance(keys, dict) and "link" in keys:
        link = read_radio_file(name).link
        if link.profile is None:
            raise ConfigError(f"{name}: its link has no carrier, so there is no map; give it a profile")
        return link.profile
    return load_yaml(name, Carrier)


def draw(file: Path, found: RadioMap, carrier: Carrier) -> None:
    """Draws a map: SINR in colours, the edge of coverage, the base stations."""
    import matplotlib as mpl  # here, as it takes a second that no node has

    mpl.use("Agg")
    from matplotlib import pyplot

    half = 0.5 * (found.x[1] - found.x[0]) if len(found.x) > 1 else 0.5
    extent = found.x[0] - half, found.x[-1] + half, found.y[0] - half, found.y[-1] + half
    figure, axis = pyplot.subplots(figsize=(8.0, 6.5))
    covered = np.where(found.rate > 0.0, found.sinr, np.nan)
    image = axis.imshow(covered, origin="lower", extent=extent, cmap="viridis")
    axis.set_facecolor("#444444")
    figure.colorbar(image, label="SINR of the strongest station, dB (grey: out of coverage)")
    for k, (x, y, _) in enumerate((carrier.position, *carrier.neighbours)):
        axis.plot(x, y, "^", color="#d1495b", markersize=9, markeredgecolor="white")
        axis.annotate(str(k), (x, y), textcoords="offset points", xytext=(6, 6), color="white")
    axis.set_xlim(*extent[:2])
    axis.set_ylim(*extent[2:])
    axis.set_xlabel("x, m")
    axis.set_ylabel("y, m")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``radio_map``; returns the exit status."""
    parser = argparse.ArgumentParser(prog="./ir radio-map", description="Draws how good the radio is over the floor.")
    parser.add_argument("file", help="slices file, file of ./ir radio, file of a carrier, or name of a profile")
    parser.add_argument("--out", type=Path, default=Path("radio-map.png"), help="picture [radio-map.png]")
    parser.add_argument("--size", type=float, nargs=2, metavar=("X", "Y"), default=(100.0, 100.0), help="m [100 100]")
    parser.add_argument("--centre", type=float, nargs=2, metavar=("X", "Y"), help="m [the middle of the stations]")
    parser.add_argument("--cell", type=float, default=0.5, help="side of a cell, m [0.5]")
    parser.add_argument("--height", type=float, default=0.5, help="of the robots' antennas, m [0.5]")
    parser.add_argument("--seed", type=int, default=0, help="of shadowing and line of sight [0]")
    given = parser.parse_args(arguments)
    try:
        carrier = carrier_of(given.file)
        middle = given.centre or np.mean([carrier.position, *carrier.neighbours], axis=0)[:2].tolist()
        if not (min(given.size) > 0.0 and given.cell > 0.0 and given.seed >= 0):
            raise ConfigError("size and cell must be positive, seed must not be negative")
        corner = middle[0] - given.size[0] / 2, middle[1] - given.size[1] / 2
        found = radio_map(carrier, corner, tuple(given.size), given.cell, given.height, given.seed)
        draw(given.out, found, carrier)
    except (ConfigError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except OSError as error:
        print(f"error: {given.out}: {error.strerror}; give another --out", file=sys.stderr)
        return EXIT_CONFIG
    covered = found.rate > 0.0
    print(
        f"{given.out}: {100 * covered.mean():.1f} % covered; "
        f"median {np.median(found.sinr):.1f} dB, {np.median(found.rate) / 1e6:.1f} Mb/s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

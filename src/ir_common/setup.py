# SPDX-License-Identifier: Apache-2.0
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent  # colcon runs this file through a link when it builds with --symlink-install
MANIFEST = ElementTree.parse(HERE / "package.xml").getroot()
NAME = MANIFEST.findtext("name")
NEEDED = (  # by the whole stack; all of it rests on this package, so that it is told first, and once
    *("PyYAML", "fastapi", "gymnasium", "mcap", "mujoco", "numba", "numpy", "pillow", "pycollada", "pydantic>=2"),
    *("rich", "scipy", "torch", "uvicorn", "websockets", "zstandard"),
)


def lack(needed):
    """What is wrong with a needed library, or nothing."""
    name, _, least = needed.partition(">=")
    try:
        there = version(name)
    except PackageNotFoundError:
        return needed
    return f"{needed} (there is {there})" if int(there.split(".")[0]) < int(least or 0) else ""


if "--help" not in sys.argv and set(sys.argv) & {"build", "build_py", "develop", "install"}:
    LACKING = {name: text for name in NEEDED if (text := lack(name))}
    if LACKING:
        command = "python3 -m pip install --break-system-packages " + " ".join(f"'{name}'" for name in LACKING)
        sys.exit(f"error: this Python lacks {', '.join(LACKING.values())}; run: {command} (or build by ./ir setup)")

setup(
    name=NAME,
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer="The IR stack maintainers",
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
)

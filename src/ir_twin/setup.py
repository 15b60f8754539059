# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent  # colcon runs this file through a link when it builds with --symlink-install
MANIFEST = ElementTree.parse(HERE / "package.xml").getroot()
NAME = MANIFEST.findtext("name")


def shared(folder: str, *patterns: str) -> list[tuple[str, list[str]]]:
    """Files of a folder at the project's root (a link leads there), to be installed in this package's share."""
    files = sorted(file for pattern in patterns for file in (HERE / folder).rglob(pattern))
    return [(f"share/{NAME}/{file.parent.relative_to(HERE)}", [str(file.relative_to(HERE))]) for file in files]


setup(
    name=NAME,
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer="The IR stack maintainers",
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed", "checkpoints/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
        *shared("launch", "*.launch.py"),
        *shared("worlds", "*.sdf", "*.config"),
        *shared("config", "*.yaml", "*.rviz", "*.json"),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "ir_bag.replay": ["twin = ir_twin.twin_journal:TwinReplay"],
        "console_scripts": [
            "twin = ir_twin.twin_node:main",
            "train = ir_twin.train_twin:main",
            "monitor = ir_twin.monitor_node:main",
            "up = ir_twin.bringup.up:main",
        ],
        "ir_twin.parameters": [
            "monitor = ir_twin.monitor_node:MonitorConfig",
            "twin = ir_twin.twin_config:TwinConfig",
        ],
    },
)

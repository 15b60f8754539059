# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent  # colcon runs this file through a link when it builds with --symlink-install
MANIFEST = ElementTree.parse(HERE / "package.xml").getroot()
NAME = MANIFEST.findtext("name")

setup(
    name=NAME,
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer="The IR stack maintainers",
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed", "policies/trained/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "agent = ir_drl.live_agent_node:main",
            "controller = ir_drl.controller_node:main",
            "train = ir_drl.train_agent:main",
        ],
        "ir_twin.preflight": [
            "learn = ir_drl.policy_checks:check_learning",
            "policies = ir_drl.policy_checks:check",
        ],
        "ir_twin.parameters": [
            "agent = ir_drl.live.live_config:LiveNodeConfig",
            "controller = ir_drl.controller_node:ControllerConfig",
        ],
    },
)

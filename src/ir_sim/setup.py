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
    package_data={NAME: ["py.typed", "on_board/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "check_worlds = ir_sim.check_worlds:main",
            "simulator = ir_sim.simulator_node:main",
            "robots = ir_sim.robots_node:main",
            "robot_state = ir_sim.robot_state_node:main",
            "gz_adapter = ir_sim.gz_adapter_node:main",
            "gz_simulator = ir_sim.gz_simulator_node:main",
            "raycast_lidar = ir_sim.raycast_lidar_node:main",
        ],
        "ir_twin.parameters": [
            "gz_adapter = ir_sim.gz_adapter_node:AdapterConfig",
            "gz_simulator = ir_sim.gz_simulator_node:GzSimulatorConfig",
            "raycast_lidar = ir_sim.raycast_lidar_node:RaycastConfig",
            "robot_state = ir_sim.robot_state_node:RobotStateConfig",
            "robots = ir_sim.robots_node:RobotsConfig",
            "simulator = ir_sim.simulator_node:SimulatorConfig",
        ],
    },
)

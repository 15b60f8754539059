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
    package_data={NAME: ["py.typed", "learning/weights/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "ir_bag.replay": ["slice_manager = ir_slicing.manager.manager_journal:ManagerReplay"],
        "console_scripts": [
            "manager = ir_slicing.ros.manager_node:main",
            "slice_agents = ir_slicing.ros.slice_agents_node:main",
            "slice_keys = ir_slicing.learning.federation.update_keys:main",
            "train_agents = ir_slicing.live.train_agents:main",
            "import_gst = ir_slicing.orchestration.service_profile:main",
        ],
        "ir_twin.preflight": [
            "slices = ir_slicing.manager.slices_checks:check",
        ],
        "ir_twin.parameters": [
            "manager = ir_slicing.manager.manager_config:ManagerConfig",
            "slice_agents = ir_slicing.live.slice_agent_config:SliceAgentsConfig",
        ],
    },
)

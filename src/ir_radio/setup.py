# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup
from setuptools.command.develop import develop
from setuptools.command.install import install

HERE = Path(__file__).resolve().parent  # colcon runs this file through a link when it builds with --symlink-install
MANIFEST = ElementTree.parse(HERE / "package.xml").getroot()
NAME = MANIFEST.findtext("name")


def compile_loops(place):
    """Compiles the loops where the package in folder `place` looks for them, so that its first start does not wait."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", NAME + ".engine.warm_up"]
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        print(f"{NAME}: its loops are compiled at the first start, not now: {why}", file=sys.stderr)


class Install(install):
    def run(self):
        super().run()
        if not self.root:  # else for a package of another machine
            compile_loops(os.path.abspath(self.install_lib))


class Develop(develop):
    def run(self):
        super().run()
        if not getattr(self, "uninstall", False):
            compile_loops(os.getcwd())


setup(
    name=NAME,
    cmdclass={"install": Install, "develop": Develop},
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer="The IR stack maintainers",
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed", "profile_files/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
        ("share/" + NAME + "/launch", ["launch/radio.launch.py"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "ir_bag.replay": [
            "cell = ir_radio.engine.cell_journal:CellReplay",
            "line = ir_radio.engine.cell_journal:LineReplay",
        ],
        "console_scripts": [
            "radio = ir_radio.ros.bridge_node:main",
            "radio_map = ir_radio.engine.map_command:main",
            "relay = ir_radio.ros.relay_node:main",
        ],
        "ir_twin.parameters": [
            "relay = ir_radio.engine.relay_config:RelayConfig",
        ],
    },
)

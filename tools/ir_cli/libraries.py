# SPDX-License-Identifier: Apache-2.0
"""Python libraries that the packages import: the key by which `package.xml` names each, and where it comes from."""

from __future__ import annotations

ROSDEP = {
    "PIL": "python3-pil",
    "collada": "python3-collada",
    "fastapi": "python3-fastapi",
    "gymnasium": "python3-gymnasium",
    "matplotlib": "python3-matplotlib",
    "mcap": "python3-mcap",
    "mujoco": "python3-mujoco",
    "numba": "python3-numba",
    "numpy": "python3-numpy",
    "psutil": "python3-psutil",
    "pydantic": "python3-pydantic",
    "pytest": "python3-pytest",
    "rich": "python3-rich",
    "rosbags": "python3-rosbags",
    "scipy": "python3-scipy",
    "starlette": "python3-fastapi",  # FastAPI is built on it and brings it
    "tensorboardX": "python3-tensorboardX-pip",
    "torch": "python3-pytorch-pip",
    "uvicorn": "python3-uvicorn",
    "websockets": "python3-websockets",
    "yaml": "python3-yaml",
    "zstandard": "python3-zstandard",
}
"""Key of an imported module in a package.xml where it is not the module's own name, as that of a ROS package is."""

WITHOUT_KEY = ("python3-gymnasium", "python3-mcap", "python3-mujoco", "python3-rosbags", "python3-zstandard")
"""Keys of ROSDEP that rosdep's own list lacks; they still say what a package needs. pip has them."""

DISTRIBUTIONS = {"PIL": "pillow", "collada": "pycollada", "yaml": "PyYAML"}
"""Name on PyPI of an imported module where it is another."""

OPTIONAL = {
    ("ir_lab.experiment.results", "pyarrow"): "tables of experiments as Parquet files",
    ("ir_lab.experiment.runner", "ray"): "experiments on a Ray cluster",
    ("ir_common.testing", "pytest"): "fixtures for the packages' tests",
    ("ir_common.testing_browser", "selenium"): "tests in a browser",
    ("ir_sim.gz_adapter_node", "ros_gz_interfaces"): "with Gazebo only",
    ("ir_sim.ros_gz_world", "ros_gz_interfaces"): "with Gazebo only",
    ("ir_sim.sdf.xacro_files", "xacro"): "robots written in xacro",
    ("ir_slicing.learning.federation.flower", "flwr"): "runs under Flower, requirements/federation.txt",
    ("ir_slicing.learning.tasks.slicing_parallel", "pettingzoo"): "agents of slices, requirements/multiagent.txt",
    ("ir_slicing.learning.forecaster.baselines", "lightgbm"): "a baseline, requirements/forecasting.txt",
    ("ir_slicing.learning.forecaster.baselines", "statsforecast"): "baselines, requirements/dev.txt",
}
"""Imports that a package runs without: (module, imported), and what they are for."""

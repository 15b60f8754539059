# SPDX-License-Identifier: Apache-2.0
"""Drift: none, its size by formula over many runs, its covariance, and what a localiser has to say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_sim.odometry_drift import OdometryDrift

poses = st.lists(
    st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-math.pi, math.pi)), min_size=1, max_size=20
)  # fmt: skip


@given(poses)
@settings(deadline=None)
def test_without_drift_the_true_pose_is_told_and_odom_is_map(way):
    odometry = OdometryDrift(0.0, np.random.default_rng(1))
    for pose in way:
        assert odometry.advance(pose) == pose
    assert odometry.correction() == pytest.approx((0.0, 0.0, 0.0)) and not odometry.covariance.any()


@given(poses, st.integers(0, 9))
@settings(deadline=None)
def test_with_the_correction_the_told_pose_is_the_true_one(way, seed):
    odometry = OdometryDrift(0.1, np.random.default_rng(seed))
    for pose in way:
        odometry.advance(pose)
    x, y, heading = odometry.correction()
    px, py, told = odometry.told
    true = (x + math.cos(heading) * px - math.sin(heading) * py, y + math.sin(heading) * px + math.cos(heading) * py)
    assert true == pytest.approx(way[-1][:2], abs=1e-9)
    assert math.cos(told + heading - way[-1][2]) == pytest.approx(1.0)


@pytest.mark.parametrize("pieces", [10, 200])
def test_its_size_is_by_formula_and_the_covariance_says_so_in_however_many_pieces(pieces):
    """Four metres straight ahead: 0.02 * sqrt(4) m and rad; to the side, 4^3 / 3 * 0.02^2 from the heading."""
    told, covariances = [], []
    for seed in range(400):
        odometry = OdometryDrift(0.02, np.random.default_rng(seed))
        for k in range(pieces + 1):
            odometry.advance((4.0 * k / pieces, 0.0, 0.0))
        told.append(odometry.told)
        covariances.append(odometry.covariance)
    expected = np.array([0.04, 0.02 * math.sqrt(4.0**3 / 3), 0.04])
    assert np.std(told, axis=0) == pytest.approx(expected, rel=0.15)
    assert np.sqrt(np.diag(np.mean(covariances, axis=0))) == pytest.approx(expected, rel=0.1)

# SPDX-License-Identifier: Apache-2.0
"""Policies drive the simulated robots, in process: goals, distances, collisions, falls."""

import numpy as np
import pytest
from drive import drive

from ir_sim.sdf import compose


@pytest.fixture(scope="module")
def field(worlds):
    return lambda *robots: compose(worlds / "robot_field.sdf", robots)


@pytest.mark.parametrize("seed", range(3))
def test_cart_reaches_goals_and_touches_nothing(field, seed):
    cart = drive(field("cart"), 30.0, seed)["cart"]
    assert cart.causes["collision"] == 0
    assert cart.goals >= 3, f"{cart.goals} goals, {cart.distance:.1f} m"


def test_cart_copes_with_a_late_command(field):
    """One control period (0.1 s) between observation and command, as over a slow link."""
    cart = drive(field("cart"), 20.0, delay=1)["cart"]
    assert cart.goals >= 1 and cart.causes["collision"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_spider_walks_without_a_fall(field, seed):
    spider = drive(field("spider"), 20.0, seed)["spider"]
    assert spider.causes["fall"] == 0
    assert spider.distance > 1.0 and spider.goals >= 1, f"{spider.distance:.2f} m, {spider.goals} goals"


def test_random_hopper_repeats_by_seed(field):
    runs = [drive(field("hopper"), 3.0, seed, policy="scripted")["hopper"] for seed in (1, 1, 2)]
    assert np.array_equal(runs[0].trace, runs[1].trace) and np.array_equal(runs[0].place, runs[1].place)
    assert not np.array_equal(runs[0].trace, runs[2].trace)
    assert runs[0].causes["fall"] > 0, "random torques do not hold it up"


def test_whole_fleet_with_a_second_cart(field):
    fleet = drive(field("cart", "spider", "hopper", "cart_2:cart"), 15.0)
    assert all(outcome.causes["collision"] == 0 for outcome in fleet.values())
    assert fleet["cart"].goals >= 1 and fleet["spider"].distance > 1.0

# SPDX-License-Identifier: Apache-2.0
"""Ackermann and mecanum drives: wheels by hand, the way that a robot on the floor takes, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_sim.sdf import compose
from ir_sim.sdf.drives import ROLLERS, AckermannDrive, MecanumDrive
from ir_sim.simulation import Simulation
from ir_sim.tasks.base import roll_pitch_yaw

FREE = {"velocity_low": np.full(2, -math.inf), "velocity_high": np.full(2, math.inf),
        "acceleration_low": np.full(2, -math.inf), "acceleration_high": np.full(2, math.inf)}  # fmt: skip
CAR = AckermannDrive(
    topic="t", radius=0.1, separation=0.4, left=("rl",), right=("rr",), steering=("sl", "sr"), kingpin_width=0.3,
    wheel_base=0.6, steering_limit=0.5, steering_gain=5.0, **FREE,
)  # fmt: skip
ROLLER = MecanumDrive(
    topic="t", radius=0.1, separation=0.4, front_left=("fl",), front_right=("fr",), back_left=("bl",),
    back_right=("br",), wheel_base=0.6, **FREE,
)  # fmt: skip

INERTIAL = "<inertial><mass>{}</mass><inertia><ixx>{}</ixx><iyy>{}</iyy><izz>{}</izz></inertia></inertial>"


def wheel(name, x, y, friction=""):
    shape = "<geometry><cylinder><radius>0.1</radius><length>0.05</length></cylinder></geometry>"
    return f"""<link name="{name}"><pose>{x} {y} 0.1 -1.5707963 0 0</pose>{INERTIAL.format(1, 0.003, 0.003, 0.005)}
<collision name="c">{shape}<surface><friction><ode>{friction}</ode></friction></surface></collision></link>"""


def spun(name, parent, child):
    return f"""<joint name="{name}" type="revolute"><parent>{parent}</parent><child>{child}</child>
<axis><xyz>0 0 1</xyz></axis></joint>"""


CHASSIS = f"""<link name="chassis"><pose>0 0 0.2 0 0 0</pose>{INERTIAL.format(10, 0.3, 0.5, 0.6)}
<collision name="c"><geometry><box><size>0.7 0.3 0.1</size></box></geometry></collision></link>"""


def car(plugin):
    knuckles = "".join(
        f"""<link name="{side}"><pose>0.3 {y} 0.1 0 0 0</pose>{INERTIAL.format(0.5, 0.002, 0.002, 0.002)}</link>
<joint name="s{side}" type="revolute"><parent>chassis</parent><child>{side}</child><axis><xyz>0 0 1</xyz>
<limit><lower>-0.7</lower><upper>0.7</upper></limit></axis></joint>"""
        for side, y in (("l", 0.15), ("r", -0.15))
    )
    wheels = wheel("wfl", 0.3, 0.2) + wheel("wfr", 0.3, -0.2) + wheel("wrl", -0.3, 0.2) + wheel("wrr", -0.3, -0.2)
    joints = spun("fl", "l", "wfl") + spun("fr", "r", "wfr") + spun("rl", "chassis", "wrl")
    joints += spun("rr", "chassis", "wrr")
    return f'<model name="car">{CHASSIS}{knuckles}{wheels}{joints}{plugin}</model>'


ACKERMANN = """<plugin filename="gz-sim-ackermann-steering-system" name="gz::sim::systems::AckermannSteering">
<left_joint>rl</left_joint><right_joint>rr</right_joint><left_steering_joint>sl</left_steering_joint>
<right_steering_joint>sr</right_steering_joint><wheel_separation>0.4</wheel_separation><wheel_base>0.6</wheel_base>
<kingpin_width>0.3</kingpin_width><wheel_radius>0.1</wheel_radius><steering_limit>0.5</steering_limit>
<steer_p_gain>5</steer_p_gain><min_acceleration>-3</min_acceleration><max_acceleration>3</max_acceleration></plugin>"""


def roller(friction, plugin=""):
    places = {"fl": (0.3, 0.2), "fr": (0.3, -0.2), "bl": (-0.3, 0.2), "br": (-0.3, -0.2)}
    parts = "".join(wheel(f"w{n}", x, y, friction) + spun(n, "chassis", f"w{n}") for n, (x, y) in places.items())
    plugin = (
        plugin
        or """<plugin filename="gz-sim-mecanum-drive-system" name="gz::sim::systems::MecanumDrive">
<front_left_joint>fl</front_left_joint><front_right_joint>fr</front_right_joint><back_left_joint>bl</back_left_joint>
<back_right_joint>br</back_right_joint><wheelbase>0.6</wheelbase><wheel_separation>0.4</wheel_separation>
<wheel_radius>0.1</wheel_radius></plugin>"""
    )
    return f'<model name="roller">{CHASSIS}{parts}{plugin}</model>'


MECANUM = "<mu>1.0</mu><mu2>0.0</mu2><fdir1>1 1 0</fdir1>"


@pytest.fixture
def world(tmp_path):
    def made(model, slope=0.0):
        file = tmp_path / "world.sdf"
        file.write_text(f"""<sdf version="1.9"><world name="w"><physics type="x"><max_step_size>0.002</max_step_size>
</physics><gravity>{9.8 * math.sin(slope)} 0 {-9.8 * math.cos(slope)}</gravity>
<model name="ground"><static>true</static>
<link name="l"><collision name="c"><geometry><plane/></geometry></collision></link></model>{model}</world></sdf>""")
        return compose(file)

    return made


def driven(simulation, name, command, seconds):
    """Displacement, m, and turn, rad, of the second half of a drive, over its time: a mean velocity in the body."""
    simulation.drive(name, *command)
    half = round(seconds / 2 / 0.002)
    simulation.step(half)
    before = simulation.sensors(name)
    simulation.step(half)
    after = simulation.sensors(name)
    yaw = roll_pitch_yaw(before.orientation)[2]
    x, y = (after.position - before.position)[:2]
    turn = math.remainder(roll_pitch_yaw(after.orientation)[2] - yaw, 2 * math.pi)
    ahead = math.cos(yaw) * x + math.sin(yaw) * y, -math.sin(yaw) * x + math.cos(yaw) * y
    return np.array([*ahead, turn]) / (seconds / 2)


def test_angles_and_speeds_of_ackermann_by_hand():
    """1 m/s on a circle of 2 m: each wheel is square to the way to one centre, which is where the circle's is."""
    given = CAR.commands(1.0, 0.5, 0.0)
    assert given["sl"] == pytest.approx(math.atan(0.6 / (2.0 - 0.15)))
    assert given["sr"] == pytest.approx(math.atan(0.6 / (2.0 + 0.15)))
    assert given["rl"] == pytest.approx((1.0 - 0.5 * 0.2) / 0.1)
    assert given["rr"] == pytest.approx((1.0 + 0.5 * 0.2) / 0.1)
    assert CAR.commands(1.0, 0.0, 0.0) == {"rl": 10.0, "rr": 10.0, "sl": 0.0, "sr": 0.0}


def test_a_turn_that_is_too_tight_is_driven_with_the_limit_and_standing_it_only_steers():
    tightest = 0.6 / math.sin(0.5)
    given = CAR.commands(1.0, 9.0, 0.0)
    assert given["sl"] == pytest.approx(math.atan(0.6 / (tightest - 0.15)))
    standing = CAR.commands(0.0, -1.0, 0.0)
    assert standing["rl"] == standing["rr"] == 0.0 and standing["sr"] == pytest.approx(-given["sl"])
    back = CAR.commands(-1.0, 0.5, 0.0)
    assert back["sl"] < 0, "astern, to turn left the wheels point right"


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_left_and_right_are_mirrored(forward, turn):
    one, other = CAR.commands(forward, turn, 0.0), CAR.commands(forward, -turn, 0.0)
    assert one["rl"] == pytest.approx(other["rr"])
    assert one["sl"] == pytest.approx(-other["sr"]) and abs(one["sl"]) < math.pi / 2


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_rims_of_a_mecanum_drive_go_as_its_hubs_along_the_rollers_axes(forward, turn, sideways):
    given = ROLLER.commands(forward, turn, sideways)
    for name, (x, y) in {"fl": (0.3, 0.2), "fr": (0.3, -0.2), "bl": (-0.3, 0.2), "br": (-0.3, -0.2)}.items():
        axis = ROLLER.roller_axes[name]
        hub = forward - turn * y, sideways + turn * x
        assert given[name] * 0.1 * axis[0] == pytest.approx(np.dot(hub, axis), abs=1e-9)
        assert given[name + ROLLERS] == pytest.approx(np.dot(hub, axis), abs=1e-9)


@pytest.mark.parametrize(("forward", "turn"), [(0.8, 0.0), (0.8, 0.4), (-0.5, 0.3)])
def test_a_car_drives_the_circle_that_it_is_told(world, forward, turn):
    simulation = Simulation(world(car(ACKERMANN)))
    velocity = driven(simulation, "car", (forward, turn), 6.0)
    assert velocity[2] == pytest.approx(turn, abs=0.04)
    assert np.sign(velocity[0]) == np.sign(forward)
    odometry = simulation.views["car"].odometry()
    assert odometry.linear[0] == pytest.approx(forward, abs=0.05)


def test_a_car_that_stands_does_not_turn(world):
    simulation = Simulation(world(car(ACKERMANN)))
    assert np.abs(driven(simulation, "car", (0.0, 1.0), 2.0)).max() < 0.01
    angles = dict(
        zip(simulation.views["car"].joint_names, simulation.views["car"].joint_states().positions, strict=True)
    )
    assert angles["sl"] == pytest.approx(math.atan(0.6 / (0.6 / math.sin(0.5) - 0.15)), abs=0.02)


@pytest.mark.parametrize("command", [(0.5, 0.0, 0.0), (0.0, 0.0, 0.4), (0.0, 0.8, 0.0), (0.3, 0.0, -0.3)])
def test_a_mecanum_drive_goes_every_way(world, command):
    simulation = Simulation(world(roller(MECANUM)))
    forward, turn, sideways = command
    assert driven(simulation, "roller", command, 2.0) == pytest.approx([forward, sideways, turn], abs=0.03)
    assert np.abs(roll_pitch_yaw(simulation.sensors("roller").orientation)[:2]).max() < 0.02


def test_a_mecanum_drive_stands_on_a_slope_as_its_friction_lets_it(world):
    """On 0.1 rad it needs 0.1 of its weight; of what grips along 45 degrees, mu of 0.3 gives twice that, 0.05 half."""
    for grip, slides in ((0.3, False), (0.05, True)):
        friction = f"<mu>{grip}</mu><mu2>0</mu2>"
        simulation = Simulation(world(roller(friction), slope=0.1))
        moved = driven(simulation, "roller", (0.0, 0.0, 0.0), 2.0)[0]
        assert (abs(moved) > 0.3) == slides, f"{grip}: {moved}"


def test_how_rollers_are_stood_for_is_noted_once(world):
    made = world(roller(MECANUM))
    assert len([note for note in made.notes if "rollers" in note]) == 1
    assert not any("mu2" in note for note in made.notes)


@pytest.mark.parametrize(("plugin", "said"), [
    (ACKERMANN.replace("<left_steering_joint>sl</left_steering_joint>", ""), "<left_steering_joint>"),
    (ACKERMANN.replace("<steer_p_gain>5", "<steering_only>true</steering_only><steer_p_gain>5"), "takes velocities"),
    (ACKERMANN.replace("<steering_limit>0.5", "<steering_limit>1.6"), "must be under pi / 2"),
    (ACKERMANN.replace("<left_joint>rl", "<left_joint>nobody"), "no movable joint is named 'nobody'"),
])  # fmt: skip
def test_a_plugin_that_is_wrong_is_told_with_its_line(world, plugin, said):
    with pytest.raises(ConfigError, match=said) as error:
        world(car(plugin))
    assert "world.sdf:" in str(error.value)

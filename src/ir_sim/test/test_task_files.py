# SPDX-License-Identifier: Apache-2.0
"""Robots without code: task files, and robots without any task."""

import math

import numpy as np
import pytest
from conftest import FLOOR
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_sim.bridge import Row, rows_for
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, FreeTask, Sensors, Task, make_task, read_tasks, robot_task
from ir_sim.tasks.expressions import ExpressionError, parse_expression
from ir_sim.tasks.task_file import load_task

TASK = """
name: drive_home
command: twist
control_period: 0.1
time_limit: 50
failure: collision
observation:
  distance: goal.distance
  bearing: goal.bearing
  speed: odom.forward
  ahead: nearest(-30, 30, 4)
  touched: contacts.count
  wheel: joint_states.lj.velocity
action:
  forward_speed: {low: -0.5, high: 1.0}
  turn_rate: {low: -1.5, high: 1.5}
reward: 5 * (before.distance - distance) - 0.1 * action.turn_rate ** 2 + (10 if distance < 0.3 else 0)
terminated: touched > 0 or ahead < 0.1
reached: distance < 0.3
"""

INERTIAL = "<inertial><mass>{}</mass><inertia><ixx>.01</ixx><iyy>.01</iyy><izz>.01</izz></inertia></inertial>"
WHEEL = (
    "<link name='{0}'><pose>0 {1} 0.05 -1.5707963267948966 0 0</pose>" + INERTIAL.format(0.2) + "<collision name='c'>"
    "<geometry><cylinder><radius>0.05</radius><length>0.01</length></cylinder></geometry></collision></link>"
    "<joint name='{0}j' type='continuous'><parent>b</parent><child>{0}</child><axis><xyz>0 0 1</xyz></axis></joint>"
)
SKID = (
    "<collision name='s{0}'><pose>{0} 0 0.0201 0 0 0</pose><geometry><sphere><radius>0.02</radius></sphere></geometry>"
    "<surface><friction><ode><mu>0</mu><mu2>0</mu2></ode></friction></surface></collision>"
)
ROBOT = (
    f"<model name='buggy'><link name='b'>{INERTIAL.format(2)}{SKID.format(0.1)}{SKID.format(-0.1)}</link>"
    f"{WHEEL.format('l', 0.1)}{WHEEL.format('r', -0.1)}<plugin filename='f' name='gz::sim::systems::DiffDrive'>"
    "<left_joint>lj</left_joint><right_joint>rj</right_joint><wheel_separation>0.2</wheel_separation>"
    "<wheel_radius>0.05</wheel_radius><max_acceleration>3</max_acceleration></plugin></model>"
)
GOAL = '<model name="goal_buggy_1"><static>true</static><pose>2 0 0 0 0 0</pose><link name="link"/></model>'


@pytest.fixture
def yard(tmp_path):
    """Writes a world with the robot, and its task file where there is one; returns the world composed."""

    def write(task=TASK):
        if task:
            (tmp_path / "tasks").mkdir(exist_ok=True)
            (tmp_path / "tasks" / "buggy.yaml").write_text(task)
        (tmp_path / "yard.sdf").write_text(
            f'<sdf version="1.9"><world name="yard"><physics name="p" type="dart"><max_step_size>0.002</max_step_size>'
            f"</physics>{FLOOR}{GOAL}{ROBOT}</world></sdf>"
        )
        return compose(tmp_path / "yard.sdf")

    return write


def test_the_file_is_the_task(yard):
    task = make_task("buggy", yard())
    assert isinstance(task, Task) and task.name == "drive_home" and task.model == "buggy"
    assert task.observation_names == ("distance", "bearing", "speed", "ahead", "touched", "wheel")
    assert task.action_low.tolist() == [-0.5, -1.5] and task.safe_action.tolist() == [0, 0]
    assert task.joint_names == ("lj",)
    sensors = Sensors(
        position=np.array([1.0, 1.0, 0.0]), orientation=np.array([0, 0, math.sin(0.25), math.cos(0.25)]),
        linear_velocity=np.array([0.4, 0, 0]), joint_positions=np.zeros(1), joint_velocities=np.array([8.0]),
        ranges=np.array([np.inf, 3.0, 1.0]), bearings=np.radians([0.0, -29.0, 40.0]), goal=np.array([1.0, 3.0]),
    )  # fmt: skip
    assert task.observe(sensors) == pytest.approx([2, math.pi / 2 - 0.5, 0.4, 3, 0, 8])


def test_rewards_and_ends_take_batches(yard):
    task = make_task("buggy", yard())
    before = np.tile([2.0, 0, 0, 4, 0, 0], (3, 1))
    after = np.array([[1.0, 0, 0, 4, 0, 0], [0.2, 0, 0, 4, 0, 0], [2.0, 0, 0, 0.05, 0, 0]])
    action = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert task.reward(before, action, after) == pytest.approx([4.9, 19, 0])
    assert task.terminated(after).tolist() == [False, False, True]
    assert task.reached(after).tolist() == [False, True, False]
    assert [task.cause(row) for row in after] == ["", "goal", "collision"]
    assert float(task.reward(before[0], action[0], after[0])) == pytest.approx(4.9)


def test_the_robot_drives_through_its_task(yard):
    world = yard()
    simulation, task = Simulation(world, 0), robot_task(world.robots["buggy"], world)
    episode = Episode(task, world.goals("buggy"))
    step, total = episode.begin(simulation.sensors("buggy")), 0.0
    while not step.ended:
        simulation.drive("buggy", 1.0, 0.0)
        simulation.step(50)
        step = episode.advance(simulation.sensors("buggy"), np.array([1.0, 0.0]))
        total += step.reward
    assert step.cause == "goal" and step.step < 25
    assert total == pytest.approx(5 * (2 - step.observation[0]) + 10, abs=0.2)


@pytest.mark.parametrize(
    ("good", "bad", "what"),
    [
        ("odom.forward", "odom.fast", r"observation.speed: column 1: unknown name 'odom.fast'"),
        ("distance < 0.3\n", "distnce < 0.3\n", "reached: column 1: unknown name 'distnce'; did you mean 'distance'"),
        ("terminated: touched > 0", "terminated: before.touched > 0", "terminated: column 1: unknown name"),
        (
            "5 * (before",
            "5 * __import__('os').system(before",
            r"reward: .*unknown function \"__import__\('os'\).system\"",
        ),
        ("5 * (before", "5 * ().__class__.mro(before", "reward: "),
        ("nearest(-30, 30, 4)", "nearest(odom.x, 30)", "observation.ahead: .*must be a number"),
        ("nearest(-30, 30, 4)", "farthest(3)", "observation.ahead: .*unknown function 'farthest'"),
        ("low: -0.5, high: 1.0", "low: 2, high: 1.0", "action.forward_speed: must be low <= safe <= high"),
        ("  turn_rate: {low: -1.5, high: 1.5}\n", "", "reward: .*action.turn_rate|a twist has two numbers"),
        ("joint_states.lj.velocity", "joint_states.xj.velocity", r"robot 'buggy' lacks the joints \['xj'\]"),
        ("control_period: 0.1", "control_period: 0", "buggy.yaml:4: control_period"),
        ("time_limit: 50", "time_limits: 50", "buggy.yaml:5: .*time_limits"),
        ("5 * (before", "5 *) (before", "reward: is no expression, at column"),
    ],
)
def test_mistakes_in_a_task_file_are_told(yard, good, bad, what):
    assert good in TASK
    world = yard(TASK.replace(good, bad, 1))
    with pytest.raises(ConfigError, match=what):
        make_task("buggy", world)


def test_a_task_file_stands_beside_the_model_too(tmp_path):
    (tmp_path / "task.yaml").write_text(TASK)
    assert load_task(tmp_path / "task.yaml", "x").model == "x"
    (tmp_path / "buggy.sdf").write_text(f'<sdf version="1.9">{ROBOT}</sdf>')
    (tmp_path / "floor.sdf").write_text(f'<sdf version="1.9"><world name="w">{FLOOR}</world></sdf>')
    wish = f"mine:{tmp_path}/buggy.sdf"
    assert read_tasks([wish], tmp_path / "floor.sdf")["mine"].name == "drive_home"
    world = compose(tmp_path / "floor.sdf", [wish])
    assert world.robots["mine"].wish == wish and world.robots["mine"].model == "buggy"


def test_a_robot_without_a_task_is_driven_and_tells_of_itself(yard):
    world = yard(task="")
    task = make_task("buggy", world)
    assert isinstance(task, FreeTask)
    assert (task.command, task.action_names) == ("twist", ("forward_speed", "turn_rate"))
    assert task.action_low.tolist() == [-1, -1] and task.safe_action.tolist() == [0, 0]
    simulation = Simulation(world, 0)
    simulation.drive("buggy", 0.5, 0.0)
    simulation.step(500)
    seen = dict(zip(task.observation_names, task.observe(simulation.sensors("buggy")), strict=True))
    assert seen["x"] == pytest.approx(0.5, abs=0.05) and seen["forward"] == pytest.approx(0.5, abs=0.05)
    observation = np.zeros((4, len(task.observation_names)))
    assert task.reward(observation, np.zeros((4, 2)), observation).tolist() == [0] * 4
    assert not task.terminated(observation).any() and not task.reached(observation).any()


def test_a_robot_that_the_bridge_file_leaves_out_has_the_stacks_topics(yard):
    clock = Row(ros_topic_name="/clock", gz_topic_name="/clock", ros_type_name="rosgraph_msgs/msg/Clock",
                gz_type_name="gz.msgs.Clock", direction="GZ_TO_ROS")  # fmt: skip
    rows = rows_for([clock], yard())
    assert [row.ros_topic_name for row in rows] == ["/clock", "/buggy/odom", "/buggy/joint_states", "/buggy/cmd_vel"]
    assert set(Simulation(yard(), 0).outputs) == {"/buggy/odom", "/buggy/joint_states"}
    own = clock.model_copy(update={"ros_topic_name": "/buggy/odom"})
    assert rows_for([own], yard()) == [own]


NAMES = {"a": np.array([1.0, -2.0, 3.0]), "b.c": np.array([0.5, 0.5, -1.0])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b.c * 2", [2, -1, 1]),
        ("-a ** 2", [-1, -4, -9]),
        ("abs(a) if a < b['c'] else 7", [7, 2, 7]),
        ("0 < a < 2 or not a > b.c", [True, True, False]),
        ("max(a, b.c, 0) - min(a, 1)", [0, 2.5, 2]),
        ("clip(a, -1, 1) + where(a > 0, 1, 0) + 7 % 4", [5, 2, 5]),
        ("a / 0 > 1e9", [True, False, True]),
        ("wrap(a * 3.141592653589793)", [-math.pi, 0, -math.pi]),
    ],
)
def test_expressions_are_worth_what_they_say(text, expected):
    assert np.asarray(parse_expression(text, NAMES)(NAMES)) == pytest.approx(np.asarray(expected), abs=1e-9)


@pytest.mark.parametrize(
    "text",
    ["", "a; a", "lambda: a", "[a]", "(a, a)", "{a: a}", "f'{a}'", "'a'", "a := 1", "a.real", "a[0]", "a['c'].b", "a()",
     "abs(a, a)", "abs(x=a)", "abs(*a)", "max(a)", "(a for a in a)", "a @ a", "a | a", "a is a", "a in a", "1e999",
     "1j", "None", "...", "__builtins__", "print(a)", "open('x')", "a if a",
     "(" * 300 + "a" + ")" * 300, "a+" * 1500 + "a",
     "-" * 1900 + "a",
     "99**99**99**99 + nothing"],
)  # fmt: skip
def test_everything_else_is_refused(text):
    with pytest.raises(ExpressionError):
        parse_expression(text, NAMES)


@given(st.text(alphabet="ab.c()+-*/ <>=1,'[]_:0", max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_text_does_more_than_compute(text):
    """Whatever is written is an expression of the known names, or refused with a reason."""
    try:
        expression = parse_expression(text, NAMES)
    except ExpressionError:
        return
    assert expression.names <= set(NAMES)
    assert np.asarray(expression(NAMES)).shape in ((), (3,))

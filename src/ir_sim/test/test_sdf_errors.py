# SPDX-License-Identifier: Apache-2.0
"""What the compiler does not support, or cannot be right, is told with file, line and element."""

import re

import pytest

from ir_common.config import ConfigError
from ir_sim.sdf import compose
from ir_sim.sdf.mujoco_compiler import compile_world

BALL = """<model name="ball">
<link name="a">
<inertial>
<mass>1</mass>
<inertia><ixx>1</ixx><iyy>1</iyy><izz>1</izz></inertia>
</inertial>
<collision name="c">
<geometry><sphere><radius>0.1</radius></sphere></geometry>
</collision>
</link>
<link name="b"/>
<joint name="j" type="revolute">
<parent>a</parent>
<child>b</child>
<axis><xyz>0 0 1</xyz></axis>
</joint>
</model>"""

MISTAKES = [
    ("<mass>1</mass>", "<mas>1</mas>", 6, "mas", "did you mean 'mass'"),
    ("<mass>1</mass>", "<mass>heavy</mass>", 6, "mass", "1 finite number"),
    ("<mass>1</mass>", "<mass>-1</mass>", 6, "mass", "positive"),
    ("<mass>1</mass>", "<mass>nan</mass>", 6, "mass", "finite"),
    ("<ixx>1</ixx>", "<ixx>9</ixx>", 7, "inertia", "not the inertia of any body"),
    ("<sphere><radius>0.1</radius></sphere>", "<sphere2/>", 10, "sphere2", "not supported in <geometry>"),
    ("<sphere><radius>0.1</radius></sphere>", "<mesh><uri>x</uri></mesh>", 10, "uri", "no 'x'; looked for"),
    ("<sphere><radius>0.1</radius></sphere>", "<sphere/>", 10, "sphere", "lacks <radius>"),
    ('<link name="b"/>', '<link name="a"/>', 13, "link", "taken by <link> in line 4"),
    ('<link name="b"/>', '<link nane="b"/>', 13, "link", "attribute 'nane'"),
    ('type="revolute"', 'type="screw"', 14, "joint", "type 'screw' is not supported"),
    ("<parent>a</parent>", "<parent>z</parent>", 15, "parent", "no link is named 'z'"),
    ("<xyz>0 0 1</xyz>", "<xyz>0 0 0</xyz>", 17, "axis", "must not be zero"),
    ("<xyz>0 0 1</xyz>", "<xyz>0 1</xyz>", 17, "xyz", "3 finite numbers"),
    (
        "<xyz>0 0 1</xyz>",
        "<xyz>0 0 1</xyz><limit><lower>1</lower><upper>0</upper></limit>",
        17,
        "limit",
        "above the upper",
    ),
    ("</model>", '<model name="inner"><static>1</static></model></model>', 19, "model", "static in a model that moves"),
    (
        "<sphere><radius>0.1</radius></sphere>",
        "<sphere><radius>0.1</radius></sphere><box/>",
        10,
        "geometry",
        "one shape",
    ),
    ('<link name="b"/>', '<link name="b"><pose relative_to="q">0 0 0 0 0 0</pose></link>', 13, "link", "named 'q'"),
    ('<link name="b"/>', '<link name="b"><pose relative_to="j">0 0 0 0 0 0</pose></link>', 14, "joint", "circle"),
    ("<parent>a</parent>", "<parent>b</parent>", 13, "link", "loop"),
]


@pytest.mark.parametrize(("good", "bad", "line", "tag", "what"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_mistake_is_told_with_its_place(write_world, good, bad, line, tag, what):
    assert good in BALL
    path = write_world(BALL.replace(good, bad, 1))
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}:{line}: <{tag}>: .*{re.escape(what)}"):
        compile_world(compose(path))


def test_the_unspoilt_model_compiles(write_world):
    model = compile_world(compose(write_world(BALL)))
    assert model.body("ball/a").mass[0] == 1.0


def test_missing_world_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.sdf: cannot be read"):
        compose(tmp_path / "nowhere.sdf")


def test_malformed_xml_is_told_with_its_line(tmp_path):
    path = tmp_path / "x.sdf"
    path.write_text('<sdf version="1.9">\n<world name="x">\n</sdf>')
    with pytest.raises(ConfigError, match=r"x\.sdf:3: is not well-formed XML"):
        compose(path)


def test_missing_model_of_an_include_is_told_with_its_line(write_world):
    path = write_world("<include>", "<uri>model://unicorn</uri>", "</include>")
    with pytest.raises(ConfigError, match=r"x\.sdf:4: <uri>: no 'model://unicorn'; looked for .*models/unicorn"):
        compose(path)


def test_elements_for_gazebo_alone_are_passed_over(write_world):
    path = write_world(
        '<light name="sun" type="directional"><direction>0 0 -1</direction></light>',
        '<plugin filename="gz-sim-sensors-system" name="gz::sim::systems::Sensors">',
        "<render_engine>ogre2</render_engine></plugin>",
        BALL,
    )
    assert compile_world(compose(path)).nbody == 3

# SPDX-License-Identifier: Apache-2.0
"""Frames and descriptions as a late joiner hears them."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from ir_common.ros_node import LATCHED
from ir_sim.robot_state_node import TF_QOS, TF_STATIC_QOS, RobotStateNode

WORLD = Path(__file__).parents[3] / "worlds" / "robot_field.sdf"


@pytest.fixture
def node(ros):
    values = {"world": str(WORLD), "robots": ["cart", "hopper"], "rate": 50.0}
    return ros.add(RobotStateNode(parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]))


def test_a_late_joiner_gets_static_frames_and_descriptions(ros, node):
    peer = ros.node("rviz")
    heard, texts = {}, {}
    peer.create_subscription(
        TFMessage, "/tf_static", lambda m: heard.update({t.child_frame_id: t for t in m.transforms}), TF_STATIC_QOS
    )
    for name in ("cart", "hopper", "world"):
        topic = "/world_description" if name == "world" else f"/{name}/robot_description"
        peer.create_subscription(String, topic, lambda m, n=name: texts.update({n: m.data}), LATCHED)
    ros.until(lambda: heard and len(texts) == 3, what="frames and descriptions")
    assert heard["cart/odom"].header.frame_id == "map" and heard["cart/odom"].transform.rotation.w == 1.0
    assert heard["cart/lidar"].header.frame_id == "cart/base_link"
    assert heard["cart/lidar"].transform.translation.z == pytest.approx(0.2)
    assert heard["hopper/torso"].header.frame_id == "hopper/base_link"
    (world,) = ElementTree.fromstring(texts["world"]).findall("link")
    shapes = {visual.get("name"): visual.find("origin").get("xyz") for visual in world.findall("visual")}
    assert world.get("name") == "map" and shapes["wall_north/visual"] == "0 6 0.3"
    assert not any(name.startswith("ground/") for name in shapes)
    links = {link.get("name") for link in ElementTree.fromstring(texts["cart"]).findall("link")}
    assert {"cart/base_link", "cart/left_wheel"} <= links


def test_odometry_and_joint_states_become_transforms_with_their_stamps(ros, node):
    peer = ros.node("simulator")
    heard = {}
    peer.create_subscription(
        TFMessage, "/tf", lambda m: heard.update({t.child_frame_id: t for t in m.transforms}), TF_QOS
    )
    odometry, states = (
        peer.create_publisher(k, f"/cart/{t}", 10) for k, t in ((Odometry, "odom"), (JointState, "joint_states"))
    )
    pose = Odometry()
    pose.header.stamp = Time(sec=7)
    pose.pose.pose.position.x, pose.pose.pose.orientation.z, pose.pose.pose.orientation.w = 3.0, 0.6, 0.8
    joints = JointState(name=["left_wheel_joint", "unknown"], position=[0.5, 1.0])
    joints.header.stamp = Time(sec=8)

    def both():
        odometry.publish(pose)
        states.publish(joints)
        return {"cart/base_link", "cart/left_wheel"} <= heard.keys()

    ros.until(both, what="transforms")
    base, wheel = heard["cart/base_link"], heard["cart/left_wheel"]
    assert (base.header.frame_id, base.header.stamp.sec, base.transform.translation.x) == ("cart/odom", 7, 3.0)
    assert (base.transform.rotation.z, base.transform.rotation.w) == (0.6, 0.8)
    assert (wheel.header.frame_id, wheel.header.stamp.sec) == ("cart/base_link", 8)
    assert wheel.transform.translation.y == pytest.approx(0.15)
    assert not any("unknown" in frame for frame in heard) and "hopper/base_link" not in heard


def test_the_edge_has_the_frames_that_crossed_the_radio(ros):
    """Poses of the robots' side do not show there, those behind the radio do; static frames are on both sides."""
    values = {"world": str(WORLD), "robots": ["cart"], "rate": 50.0, "edge_namespace": "/edge"}
    ros.add(RobotStateNode(parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]))
    peer, fixed, heard = ros.node("rviz"), {}, {"": [], "/edge": []}
    peer.create_subscription(
        TFMessage, "/edge/tf_static", lambda m: fixed.update({t.child_frame_id: t for t in m.transforms}), TF_STATIC_QOS
    )
    for side, found in heard.items():

        def hear(message, found=found):
            found.extend(one.transform.translation.x for one in message.transforms)

        peer.create_subscription(TFMessage, f"{side}/tf", hear, TF_QOS)
    here, there = (peer.create_publisher(Odometry, f"{side}/cart/odom", 10) for side in heard)
    ros.until(lambda: fixed, what="static frames")
    assert fixed["cart/odom"].header.frame_id == "map"
    near, far = Odometry(), Odometry()
    near.pose.pose.position.x, far.pose.pose.position.x = 1.0, 2.0

    def both():
        here.publish(near)
        there.publish(far)
        return all(heard.values())

    ros.until(both, what="transforms on both sides")
    assert set(heard[""]) == {1.0} and set(heard["/edge"]) == {2.0}


def drifting(ros, **more):
    values = {"world": str(WORLD), "robots": ["cart"], "rate": 50.0, "drift": 0.3} | more
    ros.add(RobotStateNode(parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]))
    peer, frames, told, maps = ros.node("nav2"), {}, [], []
    for topic, qos in (("/tf", TF_QOS), ("/tf_static", TF_STATIC_QOS)):
        peer.create_subscription(
            TFMessage, topic, lambda m: frames.update({t.child_frame_id: t for t in m.transforms}), qos
        )
    peer.create_subscription(Odometry, "/cart/odometry", told.append, 10)
    peer.create_subscription(OccupancyGrid, "/map", maps.append, LATCHED)
    odometry, pose = peer.create_publisher(Odometry, "/cart/odom", 10), Odometry()

    def drive():
        pose.pose.pose.position.x += 0.1
        odometry.publish(pose)
        return len(told) > 5 and "cart/base_link" in frames and maps

    ros.until(drive, what="odometry in its own frame")
    return frames, told, maps


def test_odometry_that_drifts_is_corrected_by_a_true_transform(ros):
    frames, told, maps = drifting(ros)
    base, odom = frames["cart/base_link"].transform, frames["cart/odom"]
    assert told[-1].header.frame_id == base_frame(frames) == "cart/odom" and told[-1].pose.covariance[0] > 1e-4
    assert odom.header.frame_id == "map" and maps[0].header.frame_id == "map" and max(maps[0].data) == 100
    x, turn = base.translation.x, odom.transform.rotation
    y = base.translation.y
    cos, sin = turn.w**2 - turn.z**2, 2 * turn.w * turn.z
    assert abs(y) > 1e-6, "it does not drift"
    assert odom.transform.translation.y + sin * x + cos * y == pytest.approx(0.0, abs=1e-9)  # it drives along y = 0


def base_frame(frames):
    return frames["cart/base_link"].header.frame_id


def test_where_odom_is_in_the_map_can_be_left_to_a_localiser(ros):
    frames, told, _ = drifting(ros, localiser=True)
    assert "cart/odom" not in frames and base_frame(frames) == "cart/odom" and told
    assert frames["cart/camera_optical"].header.frame_id == "cart/camera"

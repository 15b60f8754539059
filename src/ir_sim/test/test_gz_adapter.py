# SPDX-License-Identifier: Apache-2.0
import importlib.util
from types import SimpleNamespace as Thing

import numpy as np
import pytest
from conftest import BRIDGE, WORLD
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from ir_common.config import ConfigError
from ir_common.ros_node import STREAM
from ir_sim import gz_adapter_node
from ir_sim.gz_adapter_node import image_to_picture


def image(encoding, pixels, padding=0):
    height, width = pixels.shape[:2]
    row = pixels.reshape(height, -1)
    data = np.pad(row, ((0, 0), (0, padding))).astype(np.uint8)
    return Image(encoding=encoding, height=height, width=width, step=data.shape[1], data=data.tobytes())


def test_images_of_all_known_encodings_become_rgb():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(image_to_picture(image("rgb8", rgb)), rgb)
    assert np.array_equal(image_to_picture(image("rgb8", rgb, padding=5)), rgb)
    assert np.array_equal(image_to_picture(image("bgr8", rgb[:, :, ::-1])), rgb)
    alpha = np.concatenate([rgb, np.full((2, 4, 1), 255, np.uint8)], axis=2)
    assert np.array_equal(image_to_picture(image("rgba8", alpha)), rgb)
    assert np.array_equal(image_to_picture(image("mono8", rgb[:, :, :1])), np.repeat(rgb[:, :, :1], 3, axis=2))


@pytest.mark.skipif(importlib.util.find_spec("ros_gz_interfaces") is not None, reason="ros_gz_interfaces is installed")
def test_missing_gazebo_messages_are_told():
    with pytest.raises(ConfigError, match="ros_gz_interfaces is missing; install ros-"):
        gz_adapter_node._contact_type()


def test_gz_contacts_become_touches():
    contact = Thing(
        collision1=Thing(name="cart::base_link::body"),
        collision2=Thing(name="crate::link::collision"),
        positions=[Thing(x=1.0, y=2.0, z=3.0)],
        normals=[Thing(x=0.0, y=0.0, z=1.0)],
        depths=[0.002],
        wrenches=[Thing(body_1_wrench=Thing(force=Thing(x=1.0, y=0.0, z=-5.0)))],
    )
    (touch,) = gz_adapter_node._touches(contact)
    assert (touch.first, touch.second) == ("cart::base_link::body", "crate::link::collision")
    assert touch.position.tolist() == [1, 2, 3] and touch.depth == 0.002 and touch.force == 5.0


@pytest.mark.timeout(60)
def test_adapter_makes_jpegs_of_images(ros, monkeypatch):
    """With a stand-in for the contact type, which only a ROS installation with Gazebo's bridge has."""
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import CompressedImage

    from ir_interfaces.msg import Contacts

    monkeypatch.setattr(gz_adapter_node, "_contact_type", lambda: Contacts)
    values = {
        "world": str(WORLD), "bridge_file": str(BRIDGE), "robots": ["cart"],
        "qos_overrides./cart/camera/image_raw/compressed.publisher.reliability": "best_effort",
    }  # fmt: skip
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    ros.add(gz_adapter_node.GzAdapterNode(parameter_overrides=overrides))
    got, empty = [], []
    test = ros.node()
    test.create_subscription(CompressedImage, "/cart/camera/image_raw/compressed", got.append, STREAM)
    test.create_subscription(Contacts, "/cart/contacts", empty.append, 10)
    publisher = test.create_publisher(Image, "/cart/camera/image_raw", 10)
    picture = np.full((8, 8, 3), 200, np.uint8)

    def arrived():
        publisher.publish(image("rgb8", picture))
        return got and empty

    ros.until(arrived, what="a picture and contacts")
    assert got[0].format == "jpeg" and bytes(got[0].data[:2]) == b"\xff\xd8"
    assert not empty[0].contacts
    (jpegs,) = test.get_publishers_info_by_topic("/cart/camera/image_raw/compressed")
    (contacts,) = test.get_publishers_info_by_topic("/cart/contacts")
    assert jpegs.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT, "as overridden"
    assert contacts.qos_profile.reliability == ReliabilityPolicy.RELIABLE

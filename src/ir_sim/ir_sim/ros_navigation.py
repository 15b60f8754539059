# SPDX-License-Identifier: Apache-2.0
"""Messages that navigation needs beside those of the simulators: map, odometry in its own frame, camera geometry."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
from nav_msgs.msg import OccupancyGrid, Odometry
from sensor_msgs.msg import CameraInfo

from ir_sim.occupancy import OccupancyMap
from ir_sim.odometry_drift import OdometryDrift
from ir_sim.sdf import Robot
from ir_sim.sdf.poses import Pose, rotation
from ir_sim.sdf.sensors import Camera
from ir_sim.sdf.urdf import Branch

OPTICAL = "_optical"
"""What the frame of a camera's picture has behind the name of the camera's own (REP-103): x right, y down, z ahead."""
LEAST_VARIANCE = 1e-6
"""Of a pose or velocity that is exact: filters divide by it."""
UNKNOWN_VARIANCE = 1e6
"""Of height, roll and pitch, which a planar odometry does not measure."""


def map_message(grid: OccupancyMap, frame: str) -> OccupancyGrid:
    """The message of a map, without a stamp: it holds at all times."""
    message = OccupancyGrid()
    message.header.frame_id = frame
    message.info.resolution = grid.resolution
    message.info.height, message.info.width = grid.cells.shape
    message.info.origin.position.x, message.info.origin.position.y = grid.origin
    message.data = grid.cells.ravel()
    return message


def in_odom_frame(message: Odometry, drift: OdometryDrift, frame: str, child: str) -> Odometry:
    """Odometry in the robot's own odom frame, with covariances, from that in the map frame.

    Args:
        message: pose of the base link in the map, velocity in the axes of the base link.
        drift: of this robot; goes on by the message.
        frame: odom frame.
        child: frame of the base link.
    """
    told = Odometry()
    told.header.stamp, told.header.frame_id, told.child_frame_id = message.header.stamp, frame, child
    told.twist.twist = message.twist.twist
    true, pose = message.pose.pose, told.pose.pose
    q = true.orientation
    heading = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
    x, y, turned = drift.advance((true.position.x, true.position.y, heading))
    pose.position.x, pose.position.y, pose.position.z = x, y, true.position.z
    pose.orientation = copy.copy(q)
    if turned != heading:  # the drift turns it about the vertical
        half = (turned - heading) / 2
        c, s = math.cos(half), math.sin(half)
        o = pose.orientation
        o.w, o.x, o.y, o.z = c * q.w - s * q.z, c * q.x - s * q.y, c * q.y + s * q.x, c * q.z + s * q.w
    covariance = np.diag([0.0, 0.0, *[UNKNOWN_VARIANCE] * 3, 0.0])
    covariance[np.ix_((0, 1, 5), (0, 1, 5))] = drift.covariance + LEAST_VARIANCE * np.eye(3)
    told.pose.covariance = covariance.ravel()
    told.twist.covariance = np.diag([LEAST_VARIANCE] * 6).ravel()
    return told


def optical_frames(robot: Robot) -> Iterator[Branch]:
    """The frame of each camera's picture, under the camera's own."""
    for link in robot.description.links.values():
        for sensor in link.sensors:
            if sensor.camera is not None and sensor.frame:
                turned = Pose(rotation=rotation(-math.pi / 2, 0.0, -math.pi / 2))
                yield Branch(sensor.frame, sensor.frame + OPTICAL, turned)


def camera_infos(robot: Robot) -> Iterator[tuple[str, CameraInfo]]:
    """Topic and geometry of each camera, without a stamp: it never changes."""
    cameras = [s for link in robot.description.links.values() for s in link.sensors if s.camera is not None]
    for sensor in cameras:
        between = "camera" if len(cameras) == 1 else sensor.name
        assert sensor.camera is not None
        yield f"/{robot.name}/{between}/camera_info", camera_info(sensor.camera, sensor.frame + OPTICAL)


def camera_info(camera: Camera, frame: str) -> CameraInfo:
    """A pinhole without distortion: focal length by the horizontal field of view, square pixels, centred."""
    info = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.header.frame_id = frame
    focal = camera.width / (2 * math.tan(camera.field_of_view / 2))
    cx, cy = camera.width / 2, camera.height / 2
    info.k = np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1], float)
    info.r = np.eye(3).ravel()
    info.p = np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1, 0], float)
    return info

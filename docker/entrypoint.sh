#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -eo pipefail
source "/opt/ros/${ROS_DISTRO:-jazzy}/setup.bash"
exec /ir/ir "$@"

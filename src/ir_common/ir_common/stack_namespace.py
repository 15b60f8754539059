# SPDX-License-Identifier: Apache-2.0
"""The namespace of a whole stack, below which all of its names lie, so that several stacks fit into one ROS domain.

The stack's own names are absolute ("/radio/report"), and ROS has no remap rule for a prefix. So the launcher tells its
processes the namespace by an environment variable, and the nodes put it before every absolute name (`ros_node`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ir_common.config import ConfigError

VARIABLE = "IR_NAMESPACE"
"""Environment variable: namespace of the stack that a process belongs to; empty or not set: none."""
GLOBAL = frozenset({"/rosout", "/parameter_events"})
"""Topics that all nodes of a domain share, whatever their namespace: the middleware makes them itself."""
OWN = frozenset({"edge", "ir", "radio", "robots", "simulator", "slicing", "twin", "world"})
"""First parts of the stack's own names; a namespace that begins so could not be told from them."""
_NAMESPACE = re.compile(r"(/[A-Za-z][A-Za-z0-9_]*)*")


def normalised(text: str) -> str:
    """A namespace with its leading slash and without a trailing one; empty: none.

    Raises:
        ConfigError: it is no namespace, or one of the stack's own names.
    """
    stripped = text.strip().strip("/")
    namespace = f"/{stripped}" if stripped else ""
    if not _NAMESPACE.fullmatch(namespace) or "__" in namespace:
        raise ConfigError(f"'{text}' is no namespace: give letters, digits and single _, a letter first, such as lab1")
    if stripped.partition("/")[0] in OWN:
        raise ConfigError(f"names of the stack itself begin with '{text}'; give another, such as lab1")
    return namespace


def told(environ: Mapping[str, str]) -> str:
    """The namespace that the launcher, or a user, put into the environment.

    Raises:
        ConfigError: as `normalised`.
    """
    try:
        return normalised(environ.get(VARIABLE, ""))
    except ConfigError as error:
        raise ConfigError(f"environment variable {VARIABLE}: {error}") from None


def below(namespace: str, name: str) -> str:
    """A name of the stack as it is in the ROS graph: an absolute one below the namespace, unless it is there already.

    Relative and private names stay, as the node's own namespace is before them, and so do those of `GLOBAL`.
    """
    if not name.startswith("/") or name in GLOBAL or name.startswith(f"{namespace}/"):
        return name
    return namespace + name.rstrip("/")

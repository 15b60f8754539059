# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the stack behind the web side, without ROS."""

import threading

from ir_dashboard.access import Access
from ir_dashboard.driving import Desk, Limits
from ir_dashboard.hub import Hub
from ir_dashboard.stack import NotAccepted, Unavailable
from ir_dashboard.state import CONSTANTS, LiveState
from ir_dashboard.web import application
from ir_radio.model.slice_specs import SliceSpec

TOKEN = "secret"
SPEC = {"type": "embb", "rate": 1e6, "max_latency": 0.1, "reliability": 0.99}


class Port:
    """Remembers what is sent to robots."""

    def __init__(self):
        self.sent, self.holds = [], []
        self._news = threading.Condition()

    def send(self, robot, velocity):
        with self._news:
            self.sent.append((robot, velocity))
            self._news.notify_all()

    def hold(self, robot, held):
        with self._news:
            self.holds.append((robot, held))
            self._news.notify_all()

    def until(self, condition, timeout=3.0):
        """Waits for something that a send or a hold brings about."""
        with self._news:
            assert self._news.wait_for(condition, timeout), "not in time"


class Slices:
    """A slice manager of a few lines, which refuses rates over 100 Mb/s."""

    def __init__(self):
        self.there = True
        self.specs = {"video": SliceSpec(name="video", **SPEC)}

    async def list_slices(self):
        self.check()
        slices = [status(spec) for spec in self.specs.values()]
        return {"slices": slices, "templates": [slices[0]["spec"]] if slices else []}

    async def create_slice(self, template, name, spec):
        self.check()
        if template not in ("", "video"):
            raise NotAccepted(f"unknown slice template '{template}'")
        spec = spec or SliceSpec(name=name or template, template_name=template, **SPEC)
        if spec.name in self.specs:
            raise NotAccepted(f"slice '{spec.name}' is there already")
        return await self.modify_slice(spec)

    async def modify_slice(self, spec):
        self.check()
        if spec.rate > 100e6:
            raise NotAccepted(f"{spec.name} does not fit")
        self.specs[spec.name] = spec
        return {"slice": status(spec), "message": "done"}

    async def delete_slice(self, name):
        self.check()
        del self.specs[name]
        return {"message": "deleted"}

    def check(self):
        if not self.there:
            raise Unavailable("there is no slice manager")


def status(spec):
    """A slice as REST shows it."""
    return {"spec": spec.model_dump(mode="json"), "resource_blocks": 1.0, "created": 0.0}


class Pictures:
    """A state that nobody feeds."""

    def __init__(self, state=None):
        self.state = state or LiveState(["cart", "hopper"], 5.0)

    def picture(self):
        return self.state.whole()

    def rows(self):
        return list(self.state.rows)


class Recorder:
    """A recording button that records nothing."""

    def __init__(self):
        self.on = False

    def start(self, now):
        self.on = True

    def stop(self):
        self.on = False

    def state(self, now):
        return {"on": self.on, "bag": "run", "seconds": 0, "error": ""}


class Web:
    """The application on stand-ins."""

    def __init__(self, dead_man=0.15):
        self.port, self.slices, self.hub, self.pictures = Port(), Slices(), Hub(), Pictures()
        self.desk = Desk({"cart": Limits(-0.5, 1.0, -1.5, 1.5)}, dead_man, self.port)
        constants = CONSTANTS | {
            "order": ["cart", "hopper"],
            "drivable": ["cart"],
            "dead_man": dead_man,
            "history": 5.0,
            "scene": {},
        }
        self.recording = Recorder()
        self.app = application(
            self.pictures, self.slices, self.hub, self.desk, Access(TOKEN), constants, self.recording
        )

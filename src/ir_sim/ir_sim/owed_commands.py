# SPDX-License-Identifier: Apache-2.0
"""Commands that are still to come: on-board parts note how many, and each that comes is one less."""

from __future__ import annotations

from collections.abc import Callable

from ir_common.answers import Answers


class OwedCommands:
    """What robots' on-board parts are asked, the notes with which they answer, and the commands that a note tells of.

    Notes and commands travel on topics of their own, so a command may be there before the note that tells of it. While
    a robot's note is owed its commands are kept in mind, and counted once the note has come.

    Args:
        patience: s of wall time for a note, or a command.
        say: told when a robot's note or command has not come in time; takes the robot and what is wrong.
    """

    def __init__(self, patience: float, say: Callable[[str, str], None]) -> None:
        self._notes = Answers(patience, lambda robot: say(robot, "its on-board part does not go on"))
        self._commands = Answers(patience, lambda robot: say(robot, "nobody answers its states"))
        self._early: dict[str, int] = {}

    @property
    def silent(self) -> set[str]:
        """Robots of which a note or a command did not come in time; they are not waited for."""
        return self._notes.silent | self._commands.silent

    def ask(self, robot: str, beginning: bool = False) -> None:
        """A note of the robot is to come; `beginning`: what came before it had been asked for otherwise."""
        self._early[robot] = 0 if beginning and not self._notes.owes(robot) else self._early.get(robot, 0)
        self._notes.ask(robot)

    def expects(self, robot: str) -> bool:
        """Whether a note of the robot was asked for, and not dismissed since."""
        return self._notes.owes(robot) or robot in self._notes.silent

    def foresee(self, robot: str) -> None:
        """A note of the robot may be asked for soon: its commands count with that already."""
        self._early.setdefault(robot, 0)

    def noted(self, robot: str, commands: int) -> int:
        """A note of the robot has come; how many commands that came before it count from now on."""
        self._notes.heard(robot)
        if commands:
            self._commands.ask(robot, commands)
        early = 0 if self._notes.owes(robot) else self._early.pop(robot, 0)
        for _ in range(early):
            self._commands.heard(robot)
        return early

    def came(self, robot: str) -> bool:
        """A command for the robot has come; whether it counts now: False before the note that tells of it."""
        if robot in self._early:
            self._early[robot] += 1
            return False
        self._commands.heard(robot)
        return True

    def waiting(self) -> bool:
        """Whether anything is to come; what has been for too long is not waited for any more."""
        notes = self._notes.waiting()
        return self._commands.waiting() or notes

    def dismiss(self) -> None:
        """Nothing is to come any more."""
        self._notes.dismiss()
        self._commands.dismiss()
        self._early.clear()

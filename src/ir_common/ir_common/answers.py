# SPDX-License-Identifier: Apache-2.0
"""Who owes an answer, and who has been silent for so long that nobody waits for it any more."""

from __future__ import annotations

import time
from collections.abc import Callable

PROMPT = 10
"""Questions in a row that one who fell silent has to answer before it is waited for again."""


class Answers:
    """Waits for those who were asked, each for so long only: whoever falls silent holds nobody up for good.

    One who did not answer in time is silent. It is waited for again once `PROMPT` questions in a row were answered each
    before the next: somebody who speaks now and then without being asked is not worth a wait.

    Args:
        patience: s of wall time for an answer.
        say: told once whenever someone falls silent; takes its name.
        clock: wall clock, s.

    Attributes:
        silent: those who are not waited for.
    """

    def __init__(
        self, patience: float, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.silent: set[str] = set()
        self._patience, self._say, self._clock = patience, say, clock
        self._owed: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._prompt: dict[str, int] = {}  # answers in a row of one who is silent
        self._open: set[str] = set()  # silent ones whose last question is open

    def ask(self, who: str, count: int = 1) -> None:
        """Someone was asked, for so many answers."""
        if who in self.silent:
            self._prompt[who] = 0 if who in self._open else self._prompt.get(who, 0)
            if self._prompt[who] < PROMPT:
                self._open.add(who)
                return
            self.silent.discard(who)
        if count > 0:
            self._since[who] = self._clock()
            self._owed[who] = self._owed.get(who, 0) + count

    def heard(self, who: str) -> None:
        """Someone said something, asked or not."""
        if who in self._open:
            self._open.discard(who)
            self._prompt[who] += 1
        if who in self._owed:
            self._owed[who] -= 1
            if not self._owed[who]:
                del self._owed[who], self._since[who]

    def owes(self, who: str) -> bool:
        """Whether someone's answer is waited for."""
        return who in self._owed

    def waiting(self) -> bool:
        """Whether an answer is owed; those who have owed one for too long are silent from now on."""
        now = self._clock()
        for who in [who for who, since in self._since.items() if now - since >= self._patience]:
            self.dismiss(who)
            self.silent.add(who)
            self._prompt[who] = 0
            self._open.discard(who)
            self._say(who)
        return bool(self._owed)

    def dismiss(self, who: str | None = None) -> None:
        """Nothing is owed any more by someone, or by anybody."""
        for one in [who] if who is not None else list(self._owed):
            self._owed.pop(one, None)
            self._since.pop(one, None)

# SPDX-License-Identifier: Apache-2.0
"""A slice's side of the federation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.federation.compression import CompressionConfig, Weights, decode, encode
from ir_slicing.learning.federation.messages import Global, Update


class Client:
    """Turns a slice's weights into updates, and global weights into the slice's.

    What is not in the global weights stays in the slice's, theta_m <- theta + own: what a message could not hold (error
    feedback), and what was learnt since it was sent. So the slice acts on all that it learnt, and its own, being a
    difference from the global weights, is part of the next change. With theta_m <- theta alone, nine tenths of every
    period's learning would have to wait for its turn. A message counts as used by the round that was closed next, until
    it is known that it was not (`restored`).

    Args:
        name: of the slice.
        config: the server's.
        weights: [size] float32, all weights of the slice at the start; their shared part is what all start from.
        architecture: of the slice's networks.
        shared: [size] bool: weights that leave the slice; the others are personal and never do. Nothing: all.

    Attributes:
        round: of the global weights that the slice has.
    """

    def __init__(
        self, name: str, config: CompressionConfig, weights: Weights, architecture: str,
        shared: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.architecture, self.round = name, architecture, 0
        self.shared = np.ones(len(weights), bool) if shared is None else shared
        self.reference = weights[self.shared].astype(np.float32)
        self._config = config
        self._sent: tuple[int, Weights] | None = None  # round, and what the message of it held
        self._used: tuple[int, Weights] | None = None  # the same, of the round whose weights the slice now has

    def update(self, weights: Weights, samples: int) -> bytes:
        """The message of this round: what changed since the global weights came; ``samples`` is |D_m|."""
        change = weights[self.shared] - self.reference
        payload = encode(change, self._config)
        self._sent = self.round, decode(payload, len(change))
        return Update(self.round, self.name, samples, self.architecture, payload).to_bytes()

    def apply(self, data: bytes, weights: Weights) -> Weights | None:
        """The slice's weights with the global ones, and what these do not have of its own, in their shared part.

        Nothing where the message cannot be used: it is malformed, of another architecture, not finite, or changes a
        round that this slice missed. The slice then goes on with its own, and asks for the whole.
        """
        try:
            message = Global.from_bytes(data)
            if message.architecture != self.architecture:
                return None
            values = decode(message.payload, len(self.reference))
        except ValueError:
            return None
        whole = message.basis == message.round
        if not np.isfinite(values).all() or not (whole or message.basis == self.round):
            return None
        own = weights[self.shared] - self.reference
        sent, self._sent, self._used = self._sent, None, None
        if sent is not None and message.round == sent[0] + 1:
            own, self._used = own - sent[1], (message.round, sent[1])
        self.reference = values if whole else self.reference + values
        self.round = message.round
        out = weights.copy()
        out[self.shared] = self.reference + own
        return out

    def restored(self, number: int, used: bool, weights: Weights) -> Weights | None:
        """The slice's weights with what the message of the last round held, where that was refused or lost.

        Nothing where it was used, or is not the question.

        Args:
            number: of the round that followed the message's.
            used: whether the message had a part in the round.
            weights: [size] float32, of the slice.
        """
        if self._used is None or self._used[0] != number:
            return None
        sent, self._used = self._used[1], None
        if used:
            return None
        out = weights.copy()
        out[self.shared] += sent
        return out

# SPDX-License-Identifier: Apache-2.0
"""The slice orchestrator's side of the federation: MAFL section IV-B 2), eq. (19), and what can go wrong."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.federation.compression import CompressionConfig, Encoder, Weights, decode, encode_plain
from ir_slicing.learning.federation.messages import Global, Update

Refusal = Literal["", "malformed", "architecture", "stale", "unknown", "duplicate", "samples", "nan", "outlier"]


class ServerConfig(Config):
    """How a round is closed."""

    aggregation: Literal["mean", "trimmed_mean"] = Field(
        "mean", description="eq. (19), or the mean of each weight without its largest and smallest changes"
    )
    trim: float = Field(
        0.2, ge=0, lt=0.5, description="share of the updates that is cut off at each end (trimmed mean)"
    )
    norm_bound: float = Field(
        5.0, ge=0, description="an update longer than this times the round's median length is an outlier; 0: no bound"
    )
    quorum: int = Field(1, ge=1, description="updates without which a round changes nothing")
    compression: CompressionConfig = CompressionConfig()


class AveragingServer:
    """Collects the updates of a round, averages them, and says what the weights now are.

    Updates carry changes since the round's start, so FedAvg (19) is theta + sum of |D_m| / |D| delta_m, and whoever
    stays silent, a straggler or a drop-out, simply has no part in the round.

    Args:
        config: validated.
        weights: [size] float32, what all slices start from.
        architecture: that updates must be of.
        slices: names that may take part.

    Attributes:
        round: number of the current round.
        refused: reason -> number of updates.
        received_bytes: on the wire, refused ones included.
        used: slices whose updates had a part in the round that was closed last.
    """

    def __init__(self, config: ServerConfig, weights: Weights, architecture: str, slices: tuple[str, ...]) -> None:
        self.config, self.architecture, self.slices = config, architecture, set(slices)
        self.weights = weights.astype(np.float32).copy()
        self.round = 0
        self.refused: Counter[str] = Counter()
        self.received_bytes = 0
        self.used: tuple[str, ...] = ()
        self._encoder = Encoder(config.compression, len(weights))
        self._pending: dict[str, tuple[int, Weights]] = {}
        self._change = b""

    def receive(self, data: bytes) -> Refusal:
        """Takes one message; returns why it was refused, or nothing. A refusal is counted and changes nothing."""
        self.received_bytes += len(data)
        reason = self._take(data)
        if reason:
            self.refused[reason] += 1
        return reason

    def _take(self, data: bytes) -> Refusal:
        try:
            update = Update.from_bytes(data)
            known = update.architecture == self.architecture
            change = decode(update.payload, len(self.weights)) if known else None
        except ValueError:
            return "malformed"
        if change is None:
            return "architecture"
        if update.slice not in self.slices:
            return "unknown"
        if update.round != self.round:
            return "stale"
        if update.slice in self._pending:
            return "duplicate"
        if update.samples < 1:
            return "samples"
        if not np.isfinite(change).all():
            return "nan"
        self._pending[update.slice] = update.samples, change
        return ""

    def close(self) -> Global:
        """Ends the round with what has arrived; with less than the quorum the weights stay as they are."""
        kept = self._within_bound()
        change = np.zeros_like(self.weights)
        self.used = tuple(sorted(kept)) if len(kept) >= self.config.quorum else ()
        if self.used:
            samples, changes = zip(*kept.values(), strict=True)
            change = self._aggregate(np.array(samples, np.float64), np.stack(changes))
        self._pending.clear()
        self._change = self._encoder.encode(change)
        # the weights move by what is decoded, as everywhere else; the rest comes with a later round
        self.weights = self.weights + decode(self._change, len(self.weights))
        self.round += 1
        return Global(self.round, self.round - 1, self.architecture, self._change)

    def whole(self) -> Global:
        """The weights themselves, for who missed a round or is new."""
        return Global(self.round, self.round, self.architecture, encode_plain(self.weights))

    def _within_bound(self) -> dict[str, tuple[int, Weights]]:
        """The updates that are no outliers, by slice; those that are get counted."""
        updates = dict(self._pending)
        if not self.config.norm_bound or len(updates) < 3:  # of two one cannot say which is the odd one
            return updates
        lengths = np.array([np.linalg.norm(change) for _, change in updates.values()])
        kept = lengths <= self.config.norm_bound * np.median(lengths)
        if outliers := int((~kept).sum()):
            self.refused["outlier"] += outliers
        return {name: updates[name] for name, good in zip(updates, kept, strict=True) if good}

    def _aggregate(self, samples: np.ndarray, changes: Weights) -> Weights:
        """[updates], [updates, size] -> [size]."""
        if self.config.aggregation == "mean":
            return (samples / samples.sum() @ changes).astype(np.float32)
        cut = int(self.config.trim * len(samples))
        return np.sort(changes, axis=0)[cut : len(samples) - cut].mean(axis=0)

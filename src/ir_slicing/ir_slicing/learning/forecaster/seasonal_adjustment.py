# SPDX-License-Identifier: Apache-2.0
"""Level and day of traffic, which are divided out before anything is learnt and put back into each forecast.

    expected(t, h) = L_v(t) P_v((t + h) mod day)            what device v offers h steps after t if it goes on as ever
    L_v(t) = sum of x_v over the last day until t / sum of P_v over the same steps

P_v is the profile of the day, 1 on average: that of the slice, towards which a device's own is shrunk where there are
few days (ratio-to-moving-average, classical multiplicative decomposition).
Everything after works on x / expected, in which a change of level costs nothing, and a burst at noon and one at night
look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AdjustmentForm = Literal["none", "day", "level", "level and day"]

SHRINK = (2.0, 8.0, 32.0, np.inf)
"""Days that the slice's profile counts as beside a device's own days: tried, held-out days decide."""

HARMONICS = (0, 2, 4, 8)
"""Harmonics of the day that are tried for the profile beside one number for each step, likewise; 0: there is none."""

FLOOR = 0.02
"""Least level and profile, relative to the mean: a device that was idle for a day still has one."""


@dataclass(frozen=True)
class SeasonalAdjustment:
    """What is divided out of the traffic of a slice's devices.

    Attributes:
        form: which of the two is used.
        profile: [day, device] float64, 1 on average; [1, device] of ones without a day.
        mean: [device] float64, bit/s; the level where it does not trail.
        day: steps of a day, over which the level trails.
    """

    form: AdjustmentForm
    profile: Floats
    mean: Floats
    day: int

    @classmethod
    def none(cls, devices: int, day: int) -> SeasonalAdjustment:
        """Nothing is divided out."""
        return cls("none", np.ones((1, devices)), np.ones(devices), day)

    @classmethod
    def of(cls, form: AdjustmentForm, traffic: NDArray[np.floating], day: int) -> SeasonalAdjustment:
        """From the training part [step, device] bit/s, which begins with the first step of a day.

        Raises:
            ValueError: less than two days for a profile.
        """
        devices = traffic.shape[1]
        if form == "none":
            return cls.none(devices, day)
        mean = np.maximum(traffic.mean(axis=0, dtype=np.float64), 1e-9)
        profile = np.ones((1, devices)) if form == "level" else _profile(traffic.astype(np.float64), day)
        return cls(form, profile, mean, day)

    def at(self, steps: NDArray[np.integer]) -> Floats:
        """Profile at any steps: their shape and [device]."""
        return np.asarray(self.profile[np.asarray(steps) % len(self.profile)])

    def levels(self, traffic: NDArray[np.floating], start: int) -> Floats:
        """[step, device] bit/s: the level known at each step of traffic that begins ``start`` steps into a day."""
        if self.form == "none":
            return np.ones(traffic.shape)
        if self.form == "day":
            return np.broadcast_to(self.mean, traffic.shape)
        profile = self.at(start + np.arange(len(traffic)))
        level = trailing_sum(traffic, self.day) / trailing_sum(profile, self.day)
        return np.maximum(level, FLOOR * self.mean)


def trailing_sum(values: NDArray[np.floating], steps: int) -> Floats:
    """[step, device]: the sum over the last ``steps`` steps, this one among them, or over all there are."""
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    end = np.arange(1, len(values) + 1)
    return np.asarray(total[end] - total[np.maximum(end - steps, 0)])


def _profile(traffic: Floats, day: int) -> Floats:
    """[day, device]: mean of traffic over the level about it, smoothed as held-out days say."""
    days = len(traffic) // day
    if days < 2:
        raise ValueError(f"{len(traffic)} steps are too few for the profile of a day of {day}")
    of_slice = _by_day(traffic.sum(axis=1, keepdims=True), day)[..., 0]  # [day number, step of the day]
    of_devices, weight = _by_day(traffic, day), np.square(traffic.mean(axis=0))
    common = _smoothing(of_slice)
    choices = list(product(_smoothers(day), SHRINK))
    error = [
        sum(_missed(of_slice, of_devices, common, *choice, out) @ weight for out in range(days)) for choice in choices
    ]
    made = _own(of_slice, of_devices, common, *choices[int(np.argmin(error))])
    return np.asarray(made / made.mean(axis=0))


def _own(of_slice: Floats, of_devices: Floats, common: _Smoother, smooth: _Smoother, shrink: float) -> Floats:
    """[day, device]: smooth profiles from days [day number, day, device], shrunk to that of [day number, day]."""
    days = len(of_slice)
    part = days / (days + shrink)
    shared = common(of_slice.mean(axis=0))[:, None]
    return np.maximum(part * smooth(of_devices.mean(axis=0)) + (1.0 - part) * shared, FLOOR)


def _missed(
    of_slice: Floats, of_devices: Floats, common: _Smoother, smooth: _Smoother, shrink: float, out: int
) -> Floats:
    """[device]: mean squared error of the profiles of all days but one, on that one."""
    made = _own(np.delete(of_slice, out, 0), np.delete(of_devices, out, 0), common, smooth, shrink)
    return np.asarray(np.square(of_devices[out] - made).mean(axis=0))


def _by_day(traffic: Floats, day: int) -> Floats:
    """[days, day, device]: traffic over the mean of the whole day that is nearest about it."""
    n = len(traffic)
    total = np.cumsum(np.concatenate([np.zeros((1, traffic.shape[1])), traffic]), axis=0)
    first = np.clip(np.arange(n) - day // 2, 0, n - day)
    level = (total[first + day] - total[first]) / day
    floor = FLOOR * np.maximum(traffic.mean(axis=0), 1e-9)
    days = n // day
    return np.asarray((traffic / np.maximum(level, floor))[: days * day].reshape(days, day, -1))


class _Smoother:
    """The first harmonics of a day, or all of it where ``harmonics`` is none."""

    def __init__(self, harmonics: int | None) -> None:
        self.harmonics = harmonics

    def __call__(self, profile: Floats) -> Floats:
        """[day, ...] -> likewise."""
        if self.harmonics is None:
            return profile
        spectrum = np.fft.rfft(profile, axis=0)
        spectrum[self.harmonics + 1 :] = 0.0
        return np.fft.irfft(spectrum, len(profile), axis=0)


def _smoothers(day: int) -> list[_Smoother]:
    """Those that are tried for a day of so many steps."""
    return [_Smoother(k) for k in HARMONICS if 2 * k < day] + [_Smoother(None)]


def _smoothing(days: Floats) -> _Smoother:
    """How many harmonics foretell a day [day number, step] best from the mean of the others."""
    others = (days.sum(axis=0) - days) / (len(days) - 1)
    choices = _smoothers(days.shape[1])
    error = [np.mean([(one - smooth(mean)) ** 2 for one, mean in zip(days, others, strict=True)]) for smooth in choices]
    return choices[int(np.argmin(error))]

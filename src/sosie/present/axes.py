"""Scales of a chart: from values to pixels, and where the ticks stand. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Axis", "fit_axis", "tick_text"]

_NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_MARKS = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic scale from ``low``..``high`` to pixels ``start``..``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, here = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (here - low) / (high - low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Say whether a value can be drawn: finite and, on a log scale, positive."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, count: int = 6) -> list[float]:
        """Return about ``count`` round values between low and high."""
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high, count)


def fit_axis(
    values: Iterable[float],
    *,
    start: float,
    end: float,
    log: bool = False,
    bounds: tuple[float, float] | None = None,
    zero: bool = False,
) -> Axis:
    """Return the axis that shows all ``values``, with round ends; ``zero`` makes it begin at nought."""
    if bounds is not None:
        return Axis(bounds[0], bounds[1], start, end, log)
    good = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
    low, high = min(good), max(good)
    if log:
        low, high = (low, high) if high > low * 1.01 else (low / 2, high * 2)
        return Axis(low / 1.1, high * 1.1, start, end, log=True)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    step = _step(low, high, 6)
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def tick_text(value: float) -> str:
    """Return a short label: 0.25, 10, 5k, 2M, 1e-06."""
    size = abs(value)
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= factor:
            unit = 1e3 if suffix == "k" else factor
            return f"{value / unit:g}{suffix}"
    return f"{round(value, 10):g}"


def _step(low: float, high: float, count: int) -> float:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    return next((nice * power for nice in _NICE_STEPS if nice * power >= raw * 0.999), 10.0 * power)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    step = _step(low, high, count)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = (1.0,) if len(decades) > 4 else _LOG_MARKS
    every = [mark * 10.0**decade for decade in decades for mark in marks]
    shown = [value for value in every if low * 0.999 <= value <= high * 1.001]
    return shown if len(shown) > 1 else [low, high]

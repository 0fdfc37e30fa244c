"""The sounding frames of a cry, and its expiratory and inspiratory sounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cryvision.acoustics.praat import HOP_SECONDS

BELOW_LOUDEST_DB = 25.0
"""Frames further below the loudest ones (95th percentile) do not sound ..."""

ABOVE_BACKGROUND_DB = 6.0
"""... nor do those less than this above the background."""

LOWEST_HZ = 150.0
"""What lies below is rumble, and counts for no level of a frame."""

BRIDGED_SECONDS = 0.05
SHORTEST_SECONDS = 0.06
"""Shorter gaps within a sound are bridged; then shorter sounds are left out."""

LONGEST_INSPIRATION_S = 0.4
INSPIRATION_QUIETER_DB = 5.0
"""An inspiratory sound is shorter than half of the expiratory one before it, at most this long, and
so much quieter."""

_FRAME_SECONDS = 0.02


class Phases(NamedTuple):
    """Lengths in seconds of the expiratory and of the inspiratory sounds."""

    expiratory_s: list[float]
    inspiratory_s: list[float]

    def measures(self) -> dict[str, float]:
        """Give the number of expiratory sounds, and the mean length of each kind that there is."""
        lengths = self._asdict().items()
        means = {name: float(np.mean(seconds)) for name, seconds in lengths if seconds}
        return {"expirations": len(self.expiratory_s), **means}


def frame_levels_db(samples: np.ndarray, sample_rate_hz: float, time_s: np.ndarray) -> np.ndarray:
    """Measure the level around some times, 20 ms each, above `LOWEST_HZ`.

    Shape (n_frames,), in dBFS; -inf in digital silence.
    """
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / sample_rate_hz) < LOWEST_HZ] = 0
    power = np.pad(np.cumsum(np.fft.irfft(spectrum, len(samples)) ** 2), (1, 0))
    half = round(_FRAME_SECONDS / 2 * sample_rate_hz)
    middle = np.round(time_s * sample_rate_hz).astype(int)
    first, last = (np.clip(middle + side, 0, len(samples)) for side in (-half, half))
    mean = np.maximum(power[last] - power[first], 0) / np.maximum(last - first, 1)
    with np.errstate(divide="ignore"):
        levels: np.ndarray = 10 * np.log10(mean)
    return levels


def sounding(levels_db: np.ndarray, cry: np.ndarray, snr_db: float) -> np.ndarray:
    """Find the frames that sound.

    ``cry`` marks the frames of the cry itself, whose loudest ones and mean power are the reference;
    ``snr_db`` is the cry's, infinite where no background is known.
    """
    reference = levels_db[cry]
    if not np.isfinite(reference).any():
        return np.zeros(len(levels_db), bool)
    mean_db = 10 * np.log10(np.mean(10 ** (reference / 10)))
    floor_db = np.percentile(reference, 95) - BELOW_LOUDEST_DB
    return np.asarray(levels_db > max(floor_db, mean_db - snr_db + ABOVE_BACKGROUND_DB))


def find_phases(levels_db: np.ndarray, sounding: np.ndarray, n_cry: int) -> Phases:
    """Divide what sounds into expiratory and inspiratory sounds.

    The first ``n_cry`` frames are the cry; behind them only an inspiration belongs to it.
    """
    phases = Phases([], [])
    last_s = last_db = 0.0
    for first, stop in _runs(sounding):
        length_s = (stop - first) * HOP_SECONDS
        level_db = 10 * np.log10(np.mean(10 ** (levels_db[first:stop] / 10)))
        inspired = (
            length_s <= min(LONGEST_INSPIRATION_S, last_s / 2)
            and level_db <= last_db - INSPIRATION_QUIETER_DB
        )
        if inspired:
            phases.inspiratory_s.append(length_s)
        elif first < n_cry:
            length_s = (min(stop, n_cry) - first) * HOP_SECONDS
            phases.expiratory_s.append(length_s)
            last_s, last_db = length_s, level_db
        else:
            break  # another sound in the pause
    return phases


def _runs(sounding: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(sounding.astype(np.int8), 1)))
    runs: list[tuple[int, int]] = []
    for first, stop in edges.reshape(-1, 2).tolist():
        if runs and (first - runs[-1][1]) * HOP_SECONDS < BRIDGED_SECONDS:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((first, stop))
    return [run for run in runs if (run[1] - run[0]) * HOP_SECONDS >= SHORTEST_SECONDS]

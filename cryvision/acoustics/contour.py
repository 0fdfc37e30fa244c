"""Numbers and the shape of an F0 contour."""

from __future__ import annotations

import numpy as np

from cryvision.acoustics.praat import F0Contour

FEWEST_FRAMES = 5
"""A contour of less than 50 ms has no F0 of its own."""

FLAT_SEMITONES = 1.5
"""A contour whose F0 stays within this, from its 5th to its 95th percentile, is flat."""

MONOTONIC = 0.8
"""Rank correlation of F0 and time from which on a contour rises or falls."""

_SMOOTHED_FRAMES = 5


def describe_contour(contour: F0Contour) -> dict[str, float | str]:
    """Measure a contour.

    Parameters
    ----------
    contour : F0Contour

    Returns
    -------
    dict
        The measures of `CryAcoustics` that start with ``f0``, without mean and standard deviation;
        none where fewer than `FEWEST_FRAMES` frames are voiced.
    """
    time_s, f0_hz = contour.time_s[contour.voiced], contour.f0_hz[contour.voiced]
    if len(f0_hz) < FEWEST_FRAMES:
        return {}
    return {
        "f0_median_hz": float(np.median(f0_hz)),
        "f0_min_hz": float(f0_hz.min()),
        "f0_max_hz": float(f0_hz.max()),
        "f0_range_hz": float(np.ptp(f0_hz)),
        "f0_slope_hz_per_s": float(np.polyfit(time_s - time_s[0], f0_hz, 1)[0]),
        "f0_shape": shape(f0_hz),
    }


def shape(f0_hz: np.ndarray) -> str:
    """Name the shape of a contour: ``rising``, ``falling``, ``flat`` or ``complex``.

    Parameters
    ----------
    f0_hz : ndarray of float, shape (n,)
        Of the voiced frames, in order, from `FEWEST_FRAMES` on.
    """
    windows = np.lib.stride_tricks.sliding_window_view(f0_hz, _SMOOTHED_FRAMES)
    semitones = 12 * np.log2(np.median(windows, axis=1))
    if np.ptp(np.percentile(semitones, (5, 95))) < FLAT_SEMITONES:
        return "flat"
    ranks = np.argsort(np.argsort(semitones))
    correlation = np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]
    if abs(correlation) < MONOTONIC:
        return "complex"
    return "rising" if correlation > 0 else "falling"

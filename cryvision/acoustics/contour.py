"""Numbers, the shape and the modes (phonation, dysphonation, hyperphonation) of an F0 contour."""

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

HYPERPHONATION_HZ = 1000.0
"""Phonation ends and hyperphonation begins here: LaGasse, Neal and Lester, Ment. Retard. Dev.
Disabil. Res. Rev. 11 (2005) 83-93."""

SILENCE, PHONATION, DYSPHONATION, HYPERPHONATION = range(4)


def describe_contour(contour: F0Contour) -> dict[str, float | str]:
    """Measure a contour: the ``f0`` measures of `CryAcoustics`, but mean and standard deviation.

    There is nothing where fewer than `FEWEST_FRAMES` frames are voiced.
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

    The F0, shape (n,), is that of the voiced frames, in order, from `FEWEST_FRAMES` on.
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


def frame_modes(contour: F0Contour, sounding: np.ndarray) -> np.ndarray:
    """Name the mode of each frame, of which ``sounding`` says whether it is loud enough.

    ``PHONATION`` with an F0 up to `HYPERPHONATION_HZ`, ``HYPERPHONATION`` above it,
    ``DYSPHONATION`` where sound has no F0, and ``SILENCE``.
    """
    high = np.nan_to_num(contour.f0_hz) > HYPERPHONATION_HZ
    voiced = np.where(high, HYPERPHONATION, PHONATION)
    return np.where(sounding, np.where(contour.voiced, voiced, DYSPHONATION), SILENCE)


def mode_shares(contour: F0Contour, sounding: np.ndarray) -> dict[str, float]:
    """Measure the share of voiced frames, and of the sounding ones the share of each mode."""
    if not sounding.any():
        return {}
    modes = frame_modes(contour, sounding)[sounding]
    return {
        "voiced_share": float(contour.voiced.mean()),
        "phonation_share": float((modes == PHONATION).mean()),
        "dysphonation_share": float((modes == DYSPHONATION).mean()),
        "hyperphonation_share": float((modes == HYPERPHONATION).mean()),
    }

"""Phonation, dysphonation and hyperphonation, frame by frame."""

from __future__ import annotations

import numpy as np

from cryvision.acoustics.praat import F0Contour

HYPERPHONATION_HZ = 1000.0
"""Phonation ends and hyperphonation begins here: LaGasse, Neal and Lester, Ment. Retard. Dev.
Disabil. Res. Rev. 11 (2005) 83-93."""

SILENCE, PHONATION, DYSPHONATION, HYPERPHONATION = range(4)


def frame_modes(contour: F0Contour, sounding: np.ndarray) -> np.ndarray:
    """Name the mode of each frame.

    Parameters
    ----------
    contour : F0Contour
        Of n frames.
    sounding : ndarray of bool, shape (n,)
        Which of them are loud enough.

    Returns
    -------
    ndarray of int, shape (n,)
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

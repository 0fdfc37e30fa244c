"""The measures of one cry from its sound."""

from __future__ import annotations

import math

import numpy as np

from cryvision.acoustics.contour import describe_contour
from cryvision.acoustics.defined import FORMANTS, HYPERPHONATION_HZ, Conditions, undefine
from cryvision.acoustics.measures import CryAcoustics
from cryvision.acoustics.phases import find_phases, frame_levels_db, sounding
from cryvision.acoustics.praat import SHORTEST_SECONDS, F0Contour, PraatSound
from cryvision.errors import ConfigError

MARGIN_SECONDS = 0.025
"""Sound around a cry that its outermost frames reach into."""

LONGEST_SECONDS = 60.0
"""Of a longer event its beginning is measured: no single cry lasts so long."""

CLIPPED_AT, MOST_CLIPPED_SHARE = 0.985, 0.002
"""A cry is clipped where more than this share of its samples lie so near full scale."""


def measure_cry(
    samples: np.ndarray,
    sample_rate_hz: float,
    onset_s: float,
    offset_s: float,
    *,
    above_background_db: float = math.nan,
    recorded_rate_hz: float | None = None,
    next_onset_s: float = math.nan,
) -> CryAcoustics:
    """Measure one cry, or one bout as if it were one.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
        Mono sound around the cry, full scale 1.
    sample_rate_hz : float
    onset_s, offset_s : float
        Of the cry, in seconds from the first sample.
    above_background_db : float
        Level of the cry above its background, as `cryvision.Event` has it. NaN where it is not
        known: then the cry is taken to be free of noise.
    recorded_rate_hz : float, optional
        Sample rate of the recording, where ``samples`` were resampled from it. What was recorded
        at a lower rate is measured at that rate.
    next_onset_s : float
        Onset of the next cry of the bout; NaN where there is none. Inspiratory sounds are looked
        for up to there.

    Returns
    -------
    CryAcoustics

    Raises
    ------
    ConfigError
        If the sound is not mono and finite, or the cry does not lie within it.
    MissingDependencyError
        Without parselmouth.
    """
    _check(samples, sample_rate_hz, onset_s, offset_s)
    end_s = min(offset_s, onset_s + LONGEST_SECONDS)
    until_s = end_s if math.isnan(next_onset_s) or end_s < offset_s else max(next_onset_s, end_s)
    first = max(0, round((onset_s - MARGIN_SECONDS) * sample_rate_hz))
    part = np.asarray(samples[first : round((until_s + MARGIN_SECONDS) * sample_rate_hz)], float)
    span_s = (onset_s - first / sample_rate_hz, end_s - first / sample_rate_hz)
    cry = part[slice(*(round(edge_s * sample_rate_hz) for edge_s in span_s))]
    rate_hz = min(sample_rate_hz, recorded_rate_hz or sample_rate_hz)
    snr_db = _snr_db(above_background_db)
    values: dict[str, float | str] = {
        "level_dbfs": 10 * math.log10(np.mean(cry**2)) if cry.any() else -math.inf,
        "snr_db": snr_db,
        "cry_interval_s": next_onset_s - onset_s,
        "pause_s": next_onset_s - offset_s,
    }
    too_short = end_s - onset_s < SHORTEST_SECONDS
    if cry.any() and not too_short:
        if rate_hz < sample_rate_hz:
            import soxr

            part = soxr.resample(part, sample_rate_hz, rate_hz)
        values |= _measured(part, rate_hz, span_s, snr_db)
    clipped = float(np.mean(np.abs(cry) >= CLIPPED_AT)) > MOST_CLIPPED_SHARE
    conditions = Conditions(too_short, not cry.any(), clipped, snr_db, rate_hz)
    return CryAcoustics(**undefine(values, conditions))


def _measured(
    part: np.ndarray, rate_hz: float, span_s: tuple[float, float], snr_db: float
) -> dict[str, float | str]:
    sound = PraatSound(part, rate_hz)
    contour = sound.contour.between(*span_s)
    jitter, shimmer = sound.perturbation(*span_s)
    centroid_hz, tilt_db = sound.spectral_shape(*span_s)
    formants_hz = sound.formants_hz(contour.time_s[contour.voiced])
    after = sound.contour.time_s >= span_s[0]
    time_s = sound.contour.time_s[after]
    levels_db = frame_levels_db(part, rate_hz, time_s)
    sounds = sounding(levels_db, time_s <= span_s[1], math.inf if math.isnan(snr_db) else snr_db)
    return {
        **describe_contour(contour),
        **_modes(contour, sounds[: len(contour.time_s)]),
        "jitter_percent": jitter,
        "shimmer_percent": shimmer,
        "hnr_db": sound.hnr_db(*span_s),
        "spectral_centroid_hz": centroid_hz,
        "spectral_tilt_db": tilt_db,
        **dict(zip(FORMANTS, formants_hz, strict=True)),
        **find_phases(levels_db, sounds).measures(),
    }


def _modes(contour: F0Contour, sounds: np.ndarray) -> dict[str, float]:
    """Shares of the frames that are voiced, and of the sounding ones in each mode."""
    if not sounds.any():
        return {}
    high = contour.voiced & (np.nan_to_num(contour.f0_hz) > HYPERPHONATION_HZ)
    return {
        "voiced_share": float(contour.voiced.mean()),
        "phonation_share": float((contour.voiced & ~high)[sounds].mean()),
        "dysphonation_share": float((~contour.voiced)[sounds].mean()),
        "hyperphonation_share": float(high[sounds].mean()),
    }


def _snr_db(above_background_db: float) -> float:
    """Take the background's own power off: a level is that of both together."""
    if math.isnan(above_background_db):
        return math.nan
    power = 10 ** (above_background_db / 10) - 1
    return 10 * math.log10(power) if power > 0 else -math.inf


def _check(samples: np.ndarray, sample_rate_hz: float, onset_s: float, offset_s: float) -> None:
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ConfigError(f"sound must be mono and finite; got the shape {samples.shape}")
    length_s = len(samples) / sample_rate_hz
    if not 0 <= onset_s < offset_s <= length_s + MARGIN_SECONDS:
        raise ConfigError(
            f"a cry must lie within its sound of {length_s:g} s; got {onset_s:g} to {offset_s:g} s"
        )

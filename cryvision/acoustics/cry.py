"""The measures of one cry from its sound, and where one is not defined, and why."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cryvision.acoustics.contour import FEWEST_FRAMES, describe_contour, mode_shares
from cryvision.acoustics.measures import CryAcoustics, measures_of
from cryvision.acoustics.phases import find_phases, frame_levels_db, sounding
from cryvision.acoustics.praat import HOP_SECONDS, SHORTEST_SECONDS, PraatSound
from cryvision.errors import ConfigError
from cryvision.inputs.audio import as_floats
from cryvision.spans import shorter

MARGIN_SECONDS = 0.025
"""Sound around a cry that its outermost frames reach into."""

RESAMPLED_SECONDS = 0.02
"""Sound beyond the margin that a resampled cry is cut out of: its edges are not those of a cut."""

LONGEST_SECONDS = 60.0
"""Of a longer event its beginning is measured: no single cry lasts so long."""

CLIPPED_AT, MOST_CLIPPED_SHARE = 0.985, 0.002
"""A cry is clipped where more than this share of its samples lie so near full scale."""

LOWEST_SNR_DB = 10.0
"""Below, voicing and what is measured of the periods are those of the noise as well."""

WIDE_RATE_HZ = 16_000
"""Recordings of a lower sample rate lack a part of the band of the spectral measures."""

HIGHEST_FORMANT_F0_HZ = 500.0
"""Above, the harmonics lie too far apart to show the resonances between them."""

FORMANTS = ("formant1_hz", "formant2_hz", "formant3_hz")
_SPECTRAL = ("spectral_centroid_hz", "spectral_tilt_db", *FORMANTS)
_PERIODS = ("jitter_percent", "shimmer_percent", "hnr_db")
_MODES = ("voiced_share", "phonation_share", "dysphonation_share", "hyperphonation_share")
_PHASES = ("expiratory_s", "inspiratory_s")
_F0 = tuple(m.name for m in measures_of(CryAcoustics) if m.name.startswith("f0"))


def measure_cry(
    samples: ArrayLike,
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
    samples : array_like, shape (n,), float or int16
        Mono sound around the cry; full scale is 1 or 32768.
    sample_rate_hz : float
    onset_s, offset_s : float
        Of the cry, in seconds from the first sample; the offset up to 25 ms after the last one.
    above_background_db : float
        Level of the cry above its background, as `cryvision.Event` has it. NaN where it is not
        known: then the cry is taken to be free of noise.
    recorded_rate_hz : float, optional
        Sample rate of the recording, where ``samples`` were resampled from it. What was recorded
        at a lower rate is measured at that rate, and the periods at a higher one too.
    next_onset_s : float
        Onset of the next cry of the bout; NaN where there is none. Inspiratory sounds are looked
        for up to there.

    Returns
    -------
    CryAcoustics

    Raises
    ------
    ConfigError
        If the sound is not mono and finite, its rate is not positive, or the cry is not within it.
    MissingDependencyError
        Without parselmouth.
    """
    samples = as_floats(samples)
    _check(samples, sample_rate_hz, onset_s, offset_s)
    last_s = min(offset_s, len(samples) / sample_rate_hz)
    end_s = min(last_s, onset_s + LONGEST_SECONDS)
    goes_on = math.isfinite(next_onset_s) and end_s == last_s
    rate_hz = min(sample_rate_hz, recorded_rate_hz or sample_rate_hz)
    snr_db = _snr_db(above_background_db)
    cry = samples[round(onset_s * sample_rate_hz) : round(end_s * sample_rate_hz)].astype(float)
    values: dict[str, float | str] = {
        "level_dbfs": 10 * math.log10(np.mean(cry**2)) if cry.any() else -math.inf,
        "snr_db": snr_db,
        "cry_interval_s": next_onset_s - onset_s,
        "pause_s": next_onset_s - offset_s,
    }
    too_short = shorter(end_s - onset_s, SHORTEST_SECONDS)
    if cry.any() and not too_short:
        until_s = max(next_onset_s, end_s) if goes_on else end_s
        part = _Part.cut(samples, sample_rate_hz, rate_hz, (onset_s, end_s, until_s))
        values |= _measured(part, snr_db, recorded_rate_hz or sample_rate_hz)
    return CryAcoustics(**_undefine(values, too_short, _is_clipped(cry), rate_hz))


class _Part(NamedTuple):
    """The sound of a cry with a margin, and what follows up to the next cry.

    ``span_s`` is the cry's and ``until_s`` the end of what follows, in seconds from the first
    sample; the cry with its margin has ``n`` samples.
    """

    samples: np.ndarray
    rate_hz: float
    n: int
    span_s: tuple[float, float]
    until_s: float

    @classmethod
    def cut(
        cls,
        samples: np.ndarray,
        sample_rate_hz: float,
        rate_hz: float,
        times_s: tuple[float, float, float],
    ) -> _Part:
        """Cut from the onset to the end of what follows, at a rate, as Praat cuts a recording."""
        onset_s, end_s, until_s = times_s
        at = [max(0, round((onset_s - MARGIN_SECONDS) * rate_hz))]
        at += [round((time_s + MARGIN_SECONDS) * rate_hz) for time_s in (end_s, until_s)]
        extra = round(RESAMPLED_SECONDS * rate_hz)
        start = max(0, at[0] - extra)
        ratio = sample_rate_hz / rate_hz
        part = samples[round(start * ratio) : round((at[2] + extra) * ratio)].astype(np.float64)
        if ratio > 1:
            import soxr

            part = soxr.resample(part, sample_rate_hz, rate_hz)
        first_s = at[0] / rate_hz
        span_s = (onset_s - first_s, end_s - first_s)
        part = part[at[0] - start : at[2] - start]
        return cls(part, rate_hz, at[1] - at[0], span_s, until_s - first_s)


def _measured(part: _Part, snr_db: float, recorded_rate_hz: float) -> dict[str, float | str]:
    span_s = part.span_s
    sound = PraatSound(part.samples[: part.n], part.rate_hz)
    contour = sound.contour.between(*span_s)
    jitter, shimmer = sound.perturbation(*span_s, recorded_rate_hz)
    centroid_hz, tilt_db = sound.spectral_shape(*span_s)
    formants_hz = sound.formants_hz(contour.time_s[contour.voiced])
    n_frames, start_s = len(contour.time_s), contour.time_s[0]
    n_all = max(n_frames, math.floor((part.until_s - start_s) / HOP_SECONDS))
    time_s = start_s + HOP_SECONDS * np.arange(n_all)
    levels_db = frame_levels_db(part.samples, part.rate_hz, time_s)
    in_cry = np.arange(n_all) < n_frames
    sounds = sounding(levels_db, in_cry, math.inf if math.isnan(snr_db) else snr_db)
    return {
        **sound.f0_moments(*span_s),
        **describe_contour(contour),
        **mode_shares(contour, sounds[:n_frames]),
        "jitter_percent": jitter,
        "shimmer_percent": shimmer,
        "hnr_db": sound.hnr_db(*span_s),
        "spectral_centroid_hz": centroid_hz,
        "spectral_tilt_db": tilt_db,
        **dict(zip(FORMANTS, formants_hz, strict=True)),
        **find_phases(levels_db, sounds, n_frames).measures(),
    }


def _is_clipped(cry: np.ndarray) -> bool:
    n_clipped = int(np.count_nonzero(np.abs(cry) >= CLIPPED_AT))
    return n_clipped > MOST_CLIPPED_SHARE * len(cry)


def _snr_db(above_background_db: float) -> float:
    """Take the background's own power off: a level is that of both together."""
    if math.isnan(above_background_db):
        return math.nan
    power = 10 ** (above_background_db / 10) - 1
    return 10 * math.log10(power) if power > 0 else -math.inf


def _check(samples: np.ndarray, sample_rate_hz: float, onset_s: float, offset_s: float) -> None:
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ConfigError(f"sound must be mono and finite; got the shape {samples.shape}")
    if not 0 < sample_rate_hz < math.inf:
        raise ConfigError(f"sample_rate_hz must be positive and finite; got {sample_rate_hz:g}")
    length_s = len(samples) / sample_rate_hz
    if not 0 <= onset_s < offset_s <= length_s + MARGIN_SECONDS:
        raise ConfigError(
            f"a cry must lie within its sound of {length_s:g} s; got {onset_s:g} to {offset_s:g} s"
        )


def _undefine(
    values: dict[str, Any], too_short: bool, clipped: bool, rate_hz: float
) -> dict[str, Any]:
    """Leave out the measures, by name, that are not defined, and add the reasons.

    ``undefined`` reads ``reason: names; reason: names``. Of several reasons the first counts. The
    sample rate is that at which the cry was measured: the recording's own, or less.
    """
    f0_hz = values.get("f0_median_hz", math.nan)
    sound = (*_F0, *_MODES, *_PERIODS, *_SPECTRAL, *_PHASES)
    rules = (
        ("too short", too_short, sound),
        ("silent", values["level_dbfs"] == -math.inf, (*sound, "level_dbfs")),
        ("noise", values["snr_db"] < LOWEST_SNR_DB, (*_MODES, *_PERIODS, *_SPECTRAL, *_PHASES)),
        ("clipping", clipped, (*_PERIODS, *_SPECTRAL, "level_dbfs")),
        ("narrow band", rate_hz < WIDE_RATE_HZ, _SPECTRAL),
        (
            f"fewer than {FEWEST_FRAMES} voiced frames",
            math.isnan(f0_hz),
            (*_F0, *_PERIODS, *FORMANTS),
        ),
        (f"F0 above {HIGHEST_FORMANT_F0_HZ:g} Hz", f0_hz > HIGHEST_FORMANT_F0_HZ, FORMANTS),
        ("no next cry in the bout", True, _missing(values, ("cry_interval_s", "pause_s"))),
        ("background unknown", True, _missing(values, ("snr_db",))),
        ("none found", True, _missing(values, _PHASES)),
        ("not measurable", True, _missing(values, sound)),
    )
    reasons: dict[str, str] = {}
    for reason, holds, names in rules:
        for name in names if holds else ():
            reasons.setdefault(name, reason)
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    undefined = "; ".join(f"{reason}: {' '.join(names)}" for reason, names in by_reason.items())
    kept = {name: value for name, value in values.items() if name not in reasons}
    return {**kept, "undefined": undefined}


def _missing(values: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Names without a finite value; text counts as one."""
    return tuple(
        name
        for name in names
        if not isinstance(value := values.get(name, math.nan), str) and not math.isfinite(value)
    )

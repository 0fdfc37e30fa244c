"""Where a measure of a cry is not defined, and why."""

from __future__ import annotations

import math
from typing import Any

from cryvision.acoustics.contour import FEWEST_FRAMES
from cryvision.acoustics.measures import CryAcoustics, measures_of

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


def undefine(
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

"""The acoustic measures of a cry and of a bout: plain data, each with its unit and its meaning."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

_DIGITS = 6


class Measure(NamedTuple):
    """The description of a measure; its kind is ``real``, ``whole`` or ``text``."""

    name: str
    kind: str
    unit: str
    meaning: str


def _real(unit: str, meaning: str) -> Any:
    return dataclasses.field(default=math.nan, metadata={"about": ("real", unit, meaning)})


def _whole(unit: str, meaning: str) -> Any:
    return dataclasses.field(default=0, metadata={"about": ("whole", unit, meaning)})


def _text(meaning: str) -> Any:
    return dataclasses.field(default="", metadata={"about": ("text", "", meaning)})


@dataclass(frozen=True)
class CryAcoustics:
    """Acoustic measures of one cry.

    A number that is not defined is NaN, and ``undefined`` says why. The page "Acoustics" has the
    definitions and their sources; `measures_of` lists unit and meaning of each.
    """

    f0_median_hz: float = _real("Hz", "median F0 of the voiced frames")
    f0_mean_hz: float = _real("Hz", "mean F0 of the voiced frames")
    f0_sd_hz: float = _real("Hz", "standard deviation of F0 over the voiced frames")
    f0_min_hz: float = _real("Hz", "lowest F0")
    f0_max_hz: float = _real("Hz", "highest F0")
    f0_range_hz: float = _real("Hz", "highest minus lowest F0")
    f0_slope_hz_per_s: float = _real("Hz/s", "slope of the line through F0, least squares")
    f0_shape: str = _text("contour of F0: rising, falling, flat or complex; empty where undefined")
    voiced_share: float = _real("0 to 1", "share of the cry's frames that are voiced")
    phonation_share: float = _real("0 to 1", "share of the sounding frames with F0 up to 1,000 Hz")
    dysphonation_share: float = _real("0 to 1", "share of the sounding frames without F0")
    hyperphonation_share: float = _real("0 to 1", "share of those with F0 above 1,000 Hz")
    jitter_percent: float = _real("%", "local jitter: mean difference of neighbouring periods")
    shimmer_percent: float = _real("%", "local shimmer: mean difference of their amplitudes")
    hnr_db: float = _real("dB", "harmonics-to-noise ratio")
    spectral_centroid_hz: float = _real("Hz", "centre of gravity of the power spectrum")
    spectral_tilt_db: float = _real("dB", "energy from 1 to 5 kHz relative to 50 Hz to 1 kHz")
    formant1_hz: float = _real("Hz", "median of the first formant over the voiced frames")
    formant2_hz: float = _real("Hz", "median of the second formant")
    formant3_hz: float = _real("Hz", "median of the third formant")
    expirations: int = _whole("", "expiratory sounds within the cry")
    expiratory_s: float = _real("s", "mean length of an expiratory sound")
    inspiratory_s: float = _real("s", "mean length of an inspiratory sound in or after the cry")
    cry_interval_s: float = _real("s", "onset to onset of the next cry of the bout")
    pause_s: float = _real("s", "offset to onset of the next cry of the bout")
    level_dbfs: float = _real("dBFS", "root mean square of the whole band, re full scale")
    snr_db: float = _real("dB", "level of the cry without its background, above the background")
    undefined: str = _text("measures that are not defined, by reason: 'noise: hnr_db; ...'")


@dataclass(frozen=True)
class BoutAcoustics:
    """Measures of the timing of a bout; NaN where it has too few cries."""

    bout_s: float = _real("s", "length of the bout, pauses included")
    bout_cries: int = _whole("", "cries of the bout")
    bout_cries_per_minute: float = _real("1/min", "cries per minute of the bout")
    bout_cry_interval_s: float = _real("s", "mean of onset to next onset; needs 2 cries")
    bout_pause_s: float = _real("s", "mean of offset to next onset; needs 2 cries")
    bout_rhythm_npvi: float = _real("0 to 200", "nPVI of the cry intervals; needs 3 cries")
    bout_latency_s: float = _real(
        "s", "from the start, or the end of the previous bout, to its onset"
    )


@dataclass(frozen=True)
class Acoustics:
    """Measures of all cries and bouts of a clip.

    Attributes
    ----------
    cries : tuple of CryAcoustics
        One for each event of the classification.
    bouts : tuple of BoutAcoustics
        One for each bout.
    """

    cries: tuple[CryAcoustics, ...]
    bouts: tuple[BoutAcoustics, ...]


def measures_of(kind: type[CryAcoustics] | type[BoutAcoustics]) -> tuple[Measure, ...]:
    """List the measures of a cry or of a bout, in order."""
    return tuple(Measure(f.name, *f.metadata["about"]) for f in dataclasses.fields(kind))


def to_columns(measured: CryAcoustics | BoutAcoustics | None) -> dict[str, Any]:
    """Give the measures as plain JSON data: None where undefined or where nothing was measured."""
    if measured is None:
        return {}
    return {name: _plain(value) for name, value in dataclasses.asdict(measured).items()}


def _plain(value: float | int | str) -> float | int | str | None:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value if value != "" else None

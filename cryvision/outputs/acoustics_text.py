"""The acoustics of a clip in a few lines: medians over its cries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from cryvision.acoustics.measures import Acoustics, CryAcoustics
from cryvision.outputs.wording import row

_LINES = (
    (
        "F0",
        (
            ("f0_median_hz", "median {:.0f} Hz"),
            ("f0_range_hz", "range {:.0f} Hz"),
            ("voiced_share", "voiced {:.0%}"),
        ),
    ),
    (
        "mode",
        (
            ("phonation_share", "phonation {:.0%}"),
            ("dysphonation_share", "dysphonation {:.0%}"),
            ("hyperphonation_share", "hyperphonation {:.0%}"),
        ),
    ),
    (
        "voice",
        (
            ("jitter_percent", "jitter {:.1f} %"),
            ("shimmer_percent", "shimmer {:.1f} %"),
            ("hnr_db", "HNR {:.1f} dB"),
        ),
    ),
    (
        "timing",
        (("expiratory_s", "expiration {:.2f} s"), ("cry_interval_s", "from cry to cry {:.2f} s")),
    ),
)


def acoustic_lines(acoustics: Acoustics) -> list[str]:
    """Describe the medians over all cries, and of how many cries each line is.

    One line where no measure is defined.
    """
    cries = acoustics.cries
    lines: list[str] = []
    for name, parts in _LINES:
        known = [(_values(cries, measure), text) for measure, text in parts]
        texts = [text.format(median(values)) for values, text in known if values]
        if texts:
            n = max(len(values) for values, _ in known)
            lines += row(name, f"{', '.join(texts)} ({n} of {len(cries)} cries)")
    return lines or row("acoustics", "nothing could be measured")


def _values(cries: Sequence[CryAcoustics], measure: str) -> list[float]:
    values = (getattr(cry, measure) for cry in cries)
    return [value for value in values if math.isfinite(value)]

"""What Praat itself measures of a cry in a file, by a script as a laboratory would run it.

Nothing of it goes through cryvision: the file is opened, cut and measured by Praat alone, at the
recording's own sample rate.
"""

from __future__ import annotations

import math
import os

MARGIN_SECONDS = 0.025

SCRIPT = """form A cry
    sentence Path
    real Onset 0
    real Offset 0
    real Margin 0
endform
whole = Read from file: path$
mono = Convert to mono
length = Get end time
sampling = Get sampling frequency
first = max (0, onset - margin)
last = min (length, offset + margin)
sound = Extract part: first, last, "rectangular", 1, "yes"
pitch = To Pitch (ac): 0.01, 150, 15, "yes", 0.03, 0.45, 0.01, 0.35, 0.14, 2000
f0_median = Get quantile: onset, offset, 0.5, "Hertz"
f0_mean = Get mean: onset, offset, "Hertz"
f0_sd = Get standard deviation: onset, offset, "Hertz"
f0_min = Get minimum: onset, offset, "Hertz", "none"
f0_max = Get maximum: onset, offset, "Hertz", "none"
selectObject: sound, pitch
pulses = To PointProcess (cc)
jitter = Get jitter (local): onset, offset, 0.0001, 0.02, 1.3
selectObject: sound, pulses
shimmer = Get shimmer (local): onset, offset, 0.0001, 0.02, 1.3, 1.6
selectObject: sound
harmonicity = To Harmonicity (cc): 0.01, 150, 0.1, 1
hnr = Get mean: onset, offset
selectObject: sound
formant = To Formant (burg): 0.01, 4, min (8000, sampling / 2), 0.025, 50
for number to 3
    values'number' = Create Table with column names: "values", 0, "hz"
endfor
selectObject: pitch
frames = Get number of frames
for frame to frames
    selectObject: pitch
    time = Get time from frame number: frame
    f0 = Get value in frame: frame, "Hertz"
    if time >= onset and time <= offset and f0 <> undefined
        for number to 3
            selectObject: formant
            hz = Get value at time: number, time, "hertz", "linear"
            if hz <> undefined
                selectObject: values'number'
                Append row
                rows = Get number of rows
                Set numeric value: rows, "hz", hz
            endif
        endfor
    endif
endfor
for number to 3
    selectObject: values'number'
    formant'number' = undefined
    rows = Get number of rows
    if rows > 0
        formant'number' = Get quantile: "hz", 0.5
    endif
endfor
selectObject: sound
cry = Extract part: onset, offset, "rectangular", 1, "no"
rms = Get root-mean-square: 0, 0
spectrum = To Spectrum: "yes"
centroid = Get centre of gravity: 2
tilt = Get band energy difference: 50, 1000, 1000, 5000
writeInfoLine: f0_median
appendInfoLine: f0_mean
appendInfoLine: f0_sd
appendInfoLine: f0_min
appendInfoLine: f0_max
appendInfoLine: 100 * jitter
appendInfoLine: 100 * shimmer
appendInfoLine: hnr
appendInfoLine: centroid
appendInfoLine: tilt
appendInfoLine: 20 * log10 (rms)
appendInfoLine: formant1
appendInfoLine: formant2
appendInfoLine: formant3
"""

TOLERANCES: dict[str, tuple[float, float]] = {
    "f0_median_hz": (2.0, 0.01),
    "f0_mean_hz": (2.0, 0.01),
    "f0_sd_hz": (2.0, 0.05),
    "f0_min_hz": (2.0, 0.02),
    "f0_max_hz": (2.0, 0.02),
    "jitter_percent": (0.2, 0.10),
    "shimmer_percent": (0.5, 0.10),
    "hnr_db": (0.5, 0.0),
    "spectral_centroid_hz": (10.0, 0.02),
    "spectral_tilt_db": (0.5, 0.0),
    "level_dbfs": (0.1, 0.0),
    "formant1_hz": (20.0, 0.02),
    "formant2_hz": (20.0, 0.02),
    "formant3_hz": (20.0, 0.05),
}
"""How far a measure may lie from Praat's: the larger of a distance and a share of Praat's value.

They allow for the decoder's resampling and for the samples at which a cry is cut. Jitter and
shimmer of a rough voice change with a single period that is found or not, so theirs are wider.
Formants are the same at 16 kHz; of a higher rate the decoder and Praat cut the band at 8 kHz by
different filters, and the third formant, next to the edge, moves most.
The order is that of the script's output."""


def measure_with_praat(
    path: str | os.PathLike[str], onset_s: float, offset_s: float
) -> dict[str, float]:
    """Measure a cry with Praat; NaN where Praat gives none."""
    from parselmouth.praat import run

    _, text = run(SCRIPT, os.fspath(path), onset_s, offset_s, MARGIN_SECONDS, capture_output=True)
    values = [_number(line) for line in text.split("\n") if line]
    return dict(zip(TOLERANCES, values, strict=True))


def agrees(name: str, measured: float, reference: float) -> bool:
    """Say whether a measure is within the tolerance."""
    distance, share = TOLERANCES[name]
    return abs(measured - reference) <= max(distance, share * abs(reference))


def _number(text: str) -> float:
    return math.nan if "undefined" in text else float(text)

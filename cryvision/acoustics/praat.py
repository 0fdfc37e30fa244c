"""What Praat measures of a stretch of sound, through parselmouth.

Praat: P. Boersma and D. Weenink, "Praat: doing phonetics by computer". parselmouth: Y. Jadoul,
B. Thompson and B. de Boer, "Introducing Parselmouth: A Python interface to Praat", J. Phonetics 71
(2018) 1-15. Both are under the GPL, so they are an extra of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.layers import require

LOWEST_HZ, HIGHEST_HZ = 150.0, 2000.0
"""F0 that is looked for: from moans to the hyperphonation of the highest cries."""

HOP_SECONDS = 0.01

SHORTEST_SECONDS = 0.05
"""Shorter sound holds no window of the F0 analysis, which is six periods of the lowest F0."""

HIGHEST_RATE_HZ = 48_000

_CANDIDATES = 15
_VERY_ACCURATE = True
_SILENCE, _VOICING = 0.03, 0.45
_OCTAVE_COST, _OCTAVE_JUMP, _VOICED_UNVOICED = 0.01, 0.35, 0.14
_SHORTEST_PERIOD_S, _LONGEST_PERIOD_S = 0.0001, 0.02
_PERIOD_FACTOR, _AMPLITUDE_FACTOR = 1.3, 1.6
_HARMONICITY_SILENCE, _HARMONICITY_PERIODS = 0.1, 1.0
_FORMANTS, _FORMANT_CEILING_HZ, _FORMANT_WINDOW_S, _PREEMPHASIS_HZ = 4.0, 8000.0, 0.025, 50.0
_PRECISION = 50
_TILT_BANDS_HZ = (50.0, 1000.0, 1000.0, 5000.0)


@dataclass(frozen=True)
class F0Contour:
    """F0 of a stretch of sound, each 10 ms; NaN where the frame is unvoiced.

    The times are the middles of the frames, in seconds from the start of the sound.
    """

    time_s: np.ndarray
    f0_hz: np.ndarray

    @property
    def voiced(self) -> np.ndarray:
        """Which frames have an F0."""
        return np.asarray(~np.isnan(self.f0_hz))

    def between(self, start_s: float, end_s: float) -> F0Contour:
        """Give the frames whose middle lies from ``start_s`` to ``end_s``."""
        inside = (self.time_s >= start_s) & (self.time_s <= end_s)
        return F0Contour(self.time_s[inside], self.f0_hz[inside])


def require_praat() -> None:
    """Check that parselmouth is installed; MissingDependencyError where it is not."""
    require("acoustics", "measuring acoustics")


class PraatSound:
    """A stretch of mono sound, full scale 1, of `SHORTEST_SECONDS` or more, for Praat to analyse.

    ``contour`` is by Praat's autocorrelation ("To Pitch (ac)"), from `LOWEST_HZ` to `HIGHEST_HZ`.
    """

    def __init__(self, samples: np.ndarray, sample_rate_hz: float) -> None:
        require_praat()
        import parselmouth
        from parselmouth.praat import call

        self._call = call
        self._sound = parselmouth.Sound(np.asarray(samples, np.float64), sample_rate_hz)
        self._nyquist_hz = sample_rate_hz / 2
        self._pitch = self._call(
            self._sound, "To Pitch (ac)",
            HOP_SECONDS, LOWEST_HZ, _CANDIDATES, _VERY_ACCURATE, _SILENCE, _VOICING,
            _OCTAVE_COST, _OCTAVE_JUMP, _VOICED_UNVOICED, HIGHEST_HZ,
        )  # fmt: skip
        f0_hz = self._pitch.selected_array["frequency"]
        self.contour = F0Contour(self._pitch.xs(), np.where(f0_hz > 0, f0_hz, np.nan))

    def f0_moments(self, start_s: float, end_s: float) -> dict[str, float]:
        """Measure mean and standard deviation of F0; Praat weights the outermost frames."""
        names = {"f0_mean_hz": "Get mean", "f0_sd_hz": "Get standard deviation"}
        return {
            name: float(self._call(self._pitch, query, start_s, end_s, "Hertz"))
            for name, query in names.items()
        }

    def perturbation(
        self, start_s: float, end_s: float, sample_rate_hz: float
    ) -> tuple[float, float]:
        """Measure local jitter and local shimmer, in percent; NaN where there are no periods.

        The amplitude of a short period depends on how finely it is sampled, so sound that was
        recorded at a higher rate is brought back to that, up to `HIGHEST_RATE_HZ`.
        """
        sound = self._sound
        if sample_rate_hz > 2 * self._nyquist_hz:
            sound = self._call(sound, "Resample", min(sample_rate_hz, HIGHEST_RATE_HZ), _PRECISION)
        periods = (_SHORTEST_PERIOD_S, _LONGEST_PERIOD_S, _PERIOD_FACTOR)
        pulses = self._call([sound, self._pitch], "To PointProcess (cc)")
        jitter = self._call(pulses, "Get jitter (local)", start_s, end_s, *periods)
        shimmer = self._call(
            [sound, pulses], "Get shimmer (local)", start_s, end_s, *periods,
            _AMPLITUDE_FACTOR,
        )  # fmt: skip
        return 100 * float(jitter), 100 * float(shimmer)

    def hnr_db(self, start_s: float, end_s: float) -> float:
        """Measure the harmonics-to-noise ratio in dB, by cross-correlation."""
        harmonicity = self._call(
            self._sound, "To Harmonicity (cc)",
            HOP_SECONDS, LOWEST_HZ, _HARMONICITY_SILENCE, _HARMONICITY_PERIODS,
        )  # fmt: skip
        return float(self._call(harmonicity, "Get mean", start_s, end_s))

    def spectral_shape(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Measure the spectral centroid in Hz and the tilt in dB."""
        part = self._call(self._sound, "Extract part", start_s, end_s, "rectangular", 1, False)
        spectrum = self._call(part, "To Spectrum", True)
        centroid_hz = self._call(spectrum, "Get centre of gravity", 2)
        tilt_db = self._call(spectrum, "Get band energy difference", *_TILT_BANDS_HZ)
        return float(centroid_hz), float(tilt_db)

    def formants_hz(self, time_s: np.ndarray) -> list[float]:
        """Measure the medians of the first three formants at some times."""
        ceiling_hz = min(_FORMANT_CEILING_HZ, self._nyquist_hz)
        formant = self._call(
            self._sound, "To Formant (burg)",
            HOP_SECONDS, _FORMANTS, ceiling_hz, _FORMANT_WINDOW_S, _PREEMPHASIS_HZ,
        )  # fmt: skip
        values = [[formant.get_value_at_time(k, t) for t in time_s] for k in (1, 2, 3)]
        return [float(np.nanmedian(v)) if np.isfinite(v).any() else np.nan for v in values]

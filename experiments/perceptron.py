"""The reference that the detector is compared with: a small perceptron that hears the whole clip.

48 log-mel bands from 50 to 4000 Hz, normalised over the clip (so not causal), their statistics over
each 0.5 s window, and one hidden layer of 64 units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.inputs.audio import band_power, spectrum_power
from cryvision.learning.windows import LabelledSound

BANDS = SoundConfig(feature="mel", n_mels=48, max_hz=4000.0)
SMALLEST_POWER = 1e-10
WINDOW_FRAMES = 1 + (BANDS.window_samples - BANDS.n_fft) // BANDS.frame_hop_samples


def statistics(sounds: Sequence[LabelledSound], ends_s: Sequence[np.ndarray]) -> np.ndarray:
    """Mean, spread, least and largest of each band over the windows that end at these times.

    Returns
    -------
    ndarray of float64, shape (n_windows, 192)
    """
    return np.concatenate(
        [_of_clip(sound.samples, ends) for sound, ends in zip(sounds, ends_s, strict=True)]
    )


def _of_clip(samples: np.ndarray, ends_s: np.ndarray) -> np.ndarray:
    power = band_power(spectrum_power(samples, BANDS), BANDS)
    decibels = 10 * np.log10(np.maximum(power, SMALLEST_POWER))
    decibels = (decibels - decibels.mean()) / max(decibels.std(), 1e-6)
    rows = []
    for end in ends_s:
        first = round((end - BANDS.window_seconds) * SAMPLE_RATE_HZ) // BANDS.frame_hop_samples
        window = decibels[first : first + WINDOW_FRAMES]
        rows.append(np.concatenate([window.mean(0), window.std(0), window.min(0), window.max(0)]))
    return np.array(rows)


def out_of_fold(
    features: np.ndarray, cry: np.ndarray, test_folds: Sequence[np.ndarray], seed: int
) -> np.ndarray:
    """Probability of cry of each window, by a perceptron that was trained on the other folds."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.full(len(cry), np.nan)
    for test in test_folds:
        network = MLPClassifier((64,), alpha=1e-2, early_stopping=True, random_state=seed)
        fitted = make_pipeline(StandardScaler(), network).fit(features[~test], cry[~test])
        scores[test] = fitted.predict_proba(features[test])[:, 1]
    return scores

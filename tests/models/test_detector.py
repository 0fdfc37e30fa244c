"""The detector's shape, and what it must not listen to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryvision.config import SoundConfig
from cryvision.inputs.features import sound_windows
from cryvision.models.detector import build_detector

if TYPE_CHECKING:
    import keras

N_FRAMES, N_BANDS = 97, 40
"""Of 2 s of sound: what the shipped detector hears."""

GAIN_TOLERANCE = 1e-3
"""Of logits: the features of a louder copy differ by rounding alone, 1e-3 dB at most."""

LARGEST_MEGABYTES = 1.0
"""The bundle that ships in the package has 10 MB for all its models, each in two formats."""


@pytest.fixture(scope="module")
def detector() -> keras.Model:
    import keras

    keras.utils.set_random_seed(0)
    return build_detector(N_FRAMES, N_BANDS)


def mel(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-40, 12, (n, N_FRAMES, N_BANDS)).astype(np.float32)


def logits(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    import keras

    before = keras.Model(model.inputs, model.get_layer("logits").output)
    return np.asarray(keras.ops.convert_to_numpy(before([inputs], training=False)))[:, 0]


def test_a_mel_spectrum_becomes_the_probability_of_cry(detector: keras.Model) -> None:
    import keras

    assert [i.name for i in detector.inputs] == ["mel"]
    assert detector.input_shape == (None, N_FRAMES, N_BANDS)
    probability = keras.ops.convert_to_numpy(detector(mel(5), training=False))
    assert probability.shape == (5, 1)
    assert ((probability > 0) & (probability < 1)).all()
    # Before it is calibrated, the layer of that name changes nothing.
    plain = 1 / (1 + np.exp(-logits(detector, mel(5))))
    assert probability[:, 0] == pytest.approx(plain, abs=1e-6)
    assert np.ptp(plain) > 1e-3


def test_how_loud_a_recording_is_has_no_say(detector: keras.Model) -> None:
    config = SoundConfig(context_seconds=1.5)
    rng = np.random.default_rng(0)
    samples = (0.3 * np.sin(np.arange(48_000) / 6) + 0.1 * rng.normal(size=48_000)) / 2
    loud, quiet = (sound_windows(gain * samples, config).inputs for gain in (1.0, 0.05))
    assert logits(detector, quiet) == pytest.approx(logits(detector, loud), abs=GAIN_TOLERANCE)


def test_silence_gives_a_finite_score(detector: keras.Model) -> None:
    assert np.isfinite(logits(detector, np.zeros((1, N_FRAMES, N_BANDS), np.float32))).all()


def test_the_newest_steps_are_told_apart_and_the_context_is_heard(detector: keras.Model) -> None:
    inputs = mel(4)
    swapped = inputs.copy()
    # Two steps of the window change places: to means and maxima over all steps that is the same.
    swapped[:, 72:80], swapped[:, 80:88] = inputs[:, 80:88], inputs[:, 72:80]
    older = inputs.copy()
    older[:, :40, 10:20] += 30
    for changed in (swapped, older):
        assert np.abs(logits(detector, changed) - logits(detector, inputs)).min() > 1e-4


def test_the_width_is_that_of_every_hidden_layer() -> None:
    narrow = build_detector(N_FRAMES, N_BANDS, width=8)
    widths = {layer.filters for layer in narrow.layers if hasattr(layer, "filters")}
    units = [layer.units for layer in narrow.layers if hasattr(layer, "units")]
    assert (widths, units) == ({8}, [8, 1])


def test_the_model_is_small_and_comes_back_as_it_was_saved(
    detector: keras.Model, tmp_path: Path
) -> None:
    import keras

    path = tmp_path / "detector.keras"
    detector.save(path)
    assert path.stat().st_size < LARGEST_MEGABYTES * 1e6
    loaded = keras.saving.load_model(path)
    assert np.array_equal(logits(loaded, mel(5)), logits(detector, mel(5)))

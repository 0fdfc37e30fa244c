"""DeepInfant V2 has the published layers, and its gate lets through what it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from picture_networks import network

from cryvision.models.cnn_lstm import WIDTH, build_cnn_lstm

# Counted by hand: convolutions 369,664 and batch normalisation 896; gate 4,112 and 4,352; LSTMs
# 2 x 4 x 512 x (2560 + 512 + 1) and 2 x 4 x 512 x (1024 + 512 + 1); dense 524,800 and 4,617.
PUBLISHED_WEIGHTS = 369_664 + 896 + 8_464 + 12_587_008 + 6_295_552 + 529_417


@pytest.fixture(scope="module")
def published() -> Any:
    return network(build_cnn_lstm, 434, 80, WIDTH)


def test_it_has_the_published_sizes(published: Any) -> None:
    trained = sum(int(np.prod(w.shape)) for w in published.trainable_weights)
    assert trained == PUBLISHED_WEIGHTS
    assert published.get_layer("lower_lstm").input.shape == (None, 54, 2560)
    assert published.get_layer("upper_lstm").output.shape == (None, 1024)
    assert published.output_shape == (None, 9)


def test_batch_normalisation_suits_short_runs(published: Any) -> None:
    import keras

    found = [x for x in published.layers if isinstance(x, keras.layers.BatchNormalization)]
    learned = [layer for layer in found if layer.trainable]
    assert len(learned) == 3
    assert all(layer.momentum == 0.9 for layer in learned)


def test_the_gate_weighs_channels_and_keeps_the_picture() -> None:
    import keras

    model = network(build_cnn_lstm, 32, 16, 4)
    wanted = [model.get_layer(name).output for name in ("excitation", "gated")]
    picture = model.get_layer("gated").input[0]
    window = np.random.default_rng(0).normal(size=(3, 32, 16)).astype(np.float32)
    gate, gated, given = (
        np.asarray(found) for found in keras.Model(model.input, [*wanted, picture])(window)
    )
    assert gate.shape == (3, 1, 1, 16)
    assert gate.min() > 0
    assert gate.max() < 1
    np.testing.assert_allclose(gated, gate * given, rtol=1e-5)


def test_both_halves_of_the_upper_lstm_have_seen_every_frame() -> None:
    import keras

    model = network(build_cnn_lstm, 32, 16, 4)
    upper = keras.Model(model.input, model.get_layer("upper_lstm").output)
    window = np.random.default_rng(0).normal(size=(1, 32, 16)).astype(np.float32)
    changed = {"first": window.copy(), "last": window.copy()}
    changed["first"][:, :4] += 3
    changed["last"][:, -4:] += 3
    halves = np.split(np.asarray(upper(window)), 2, axis=1)
    for other in changed.values():
        for before, after in zip(
            halves, np.split(np.asarray(upper(other)), 2, axis=1), strict=True
        ):
            assert np.abs(after - before).max() > 0

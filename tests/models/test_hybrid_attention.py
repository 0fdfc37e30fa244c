"""TinyToes has its four blocks, attention over the frames, and an LSTM, in that order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from picture_networks import network

from cryvision.inputs.audio import n_features
from cryvision.models.hybrid_attention import WIDTH, build_hybrid_attention
from cryvision.training.systems import TINYTOES_SOUND

BLOCK = ["Conv2D", "Dropout", "BatchNormalization", "MaxPooling2D"]


@pytest.fixture(scope="module")
def model() -> Any:
    n_columns = n_features(TINYTOES_SOUND)
    return network(build_hybrid_attention, TINYTOES_SOUND.n_frames, n_columns, WIDTH)


def test_its_layers_come_in_the_published_order(model: Any) -> None:
    kinds = [type(layer).__name__ for layer in model.layers]
    start, end = kinds.index("Conv2D"), kinds.index("MultiHeadAttention")
    assert kinds[start : end - 1] == 4 * BLOCK
    assert kinds[end:] == ["MultiHeadAttention", "LSTM", "Dense", "Calibration"]


def test_blocks_have_rectified_convolutions_and_momentum_for_short_runs(model: Any) -> None:
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            assert layer.activation.__name__ == "relu"
        if type(layer).__name__ == "BatchNormalization" and layer.trainable:
            assert layer.momentum == 0.9


def test_attention_is_of_many_heads_over_the_frames(model: Any) -> None:
    attention = model.get_layer("attention")
    assert attention.num_heads == 4
    assert attention.output.shape[1] == TINYTOES_SOUND.n_frames // 8


def test_it_tells_probabilities(model: Any) -> None:
    window = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:]))
    probabilities = np.asarray(model(window.astype(np.float32)))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)

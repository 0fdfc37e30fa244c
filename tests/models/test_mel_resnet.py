"""Residual networks and VGGish have the published layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from picture_networks import network

from cryvision.errors import ConfigError
from cryvision.models.mel_resnet import STAGES, WIDTH, build_mel_resnet, build_vggish

# Of the networks on colour pictures without their last layer, whose first convolution has three
# times the weights: 7 x 7 x 64 = 3,136 for each colour.
RESNET_34 = 21_284_672 - 2 * 3_136
RESNET_50 = 23_508_032 - 2 * 3_136


def weights_before(model: Any, name: str) -> int:
    """Trained weights of all layers but those behind the named one."""
    import keras

    inner = keras.Model(model.input, model.get_layer(name).output)
    return sum(int(np.prod(w.shape)) for w in inner.trainable_weights)


@pytest.mark.parametrize(
    ("n_layers", "published", "n_convolutions"), [(34, RESNET_34, 36), (50, RESNET_50, 53)]
)
def test_residual_networks_have_the_published_sizes(
    n_layers: int, published: int, n_convolutions: int
) -> None:
    import keras

    model = network(partial(build_mel_resnet, n_layers=n_layers), 215, 128, WIDTH)
    assert weights_before(model, "pooled") == published
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(convolutions) == n_convolutions  # those of the shortcuts among them
    assert model.get_layer("pooled").input.shape[1:3] == (7, 4)
    normalised = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert {x.momentum for x in normalised if x.trainable} == {0.9}


def test_another_depth_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_layers must be one of 34, 50; got 18"):
        network(partial(build_mel_resnet, n_layers=18), 32, 32, 2)


def test_vggish_has_the_published_convolutions() -> None:
    import keras

    model = network(build_vggish, 96, 64, WIDTH)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert [x.filters for x in convolutions] == [64, 128, 256, 256, 512, 512]
    assert model.get_layer("pooled").input.shape == (None, 6, 4, 512)
    assert model.get_layer("embedding").units == 128


def test_a_shortcut_is_added() -> None:
    model = network(build_mel_resnet, 32, 32, 2)
    added = [x for x in model.layers if type(x).__name__ == "Add"]
    assert len(added) == sum(STAGES[34])

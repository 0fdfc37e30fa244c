"""Networks on pictures, not trained, of nine classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.models.cha_bae import build_scaling
from cryvision.models.picture_network import build_picture_network

if TYPE_CHECKING:
    import keras

N_CLASSES = 9


def network(
    layers: Callable[[Any, int], Any], n_frames: int, n_columns: int, width: int
) -> keras.Model:
    scaling = build_scaling(np.zeros(n_columns), np.ones(n_columns), 3)
    return build_picture_network(layers, scaling, n_frames, n_columns, N_CLASSES, "mel", width)

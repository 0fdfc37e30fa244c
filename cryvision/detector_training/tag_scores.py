"""The tag scores of whole recordings, and the veto on their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.config import SAMPLE_RATE_HZ, LogMelConfig, VetoConfig
from cryvision.errors import ConfigError
from cryvision.inference.tags import TagScorer
from cryvision.inputs.logmel import Frames, log_mel
from cryvision.models.frame_network import EDGES
from cryvision.runtime.loading import KerasModel, Model

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TagScores:
    """The scores of a tagger in the windows of a recording, n of them.

    ``cry`` are scores of crying, float32; ``scored`` marks windows loud enough to be scored;
    ``embedding``, float16 of shape (n, width), is the input of the tagger's last layer, without
    columns where it is not kept.
    """

    end_samples: np.ndarray
    cry: np.ndarray
    scored: np.ndarray
    embedding: np.ndarray


class Tagger:
    """The tagger of a bundle over whole recordings, window by window as in use.

    A window below ``min_level_dbfs`` is not scored. Where the embedding, the input of the last
    layer, is kept, ``model`` is the Keras model with the layer ``embedding`` and, on it, the last
    one, ``logits``; None where it is not, or where the tagger has no such layers.
    """

    def __init__(self, base: Bundle, min_level_dbfs: float, embedding: bool = False) -> None:
        if base.tagger is None or base.tagger.logmel is None:
            raise ConfigError(f"the bundle must have a tagger; {base.name!r} has none")
        self.part: Part = base.tagger
        self.config: LogMelConfig = base.tagger.logmel
        self.model: keras.Model | None = None
        if embedding:
            self.model = _with_embedding(base.model(self.part, "keras"))
        self._min_level_dbfs = min_level_dbfs
        self._columns = _Columns(base.model(self.part), self.model)

    def score(self, samples: np.ndarray, frames: Frames) -> TagScores:
        """Score a recording, whose frames are those of the edges."""
        if self.config.spectral != EDGES.spectral:
            frames = log_mel(samples, self.config)
        columns = ("",) * (self._columns.n_outputs - len(self.part.tags)) + self.part.tags
        scorer = TagScorer(self._columns, self.config, columns, self._min_level_dbfs)
        windows = scorer.finish(frames, len(samples))
        scored, embedding, scores = np.split(windows.scores, [1, -len(self.part.tags)], axis=1)
        return TagScores(
            windows.end_samples, scores[:, 0], scored[:, 0] > 0, embedding.astype(np.float16)
        )


class _Columns:
    """A tagger that puts a 1, and its embedding, before the scores; what is not scored is 0."""

    def __init__(self, model: Model, parted: keras.Model | None) -> None:
        self._model, self._parted = model, None
        width = 0
        if parted is not None:
            import keras

            embedding = parted.get_layer("embedding").output
            self._parted = keras.Model(parted.inputs[0], [embedding, parted.outputs[0]])
            width = int(embedding.shape[-1])
        self.n_outputs = 1 + width + model.n_outputs

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        frames = inputs["logmel"]
        if self._parted is None:
            values = [self._model.predict(inputs)]
        else:
            from keras import ops

            values = [ops.convert_to_numpy(v) for v in self._parted(frames, training=False)]
        return np.concatenate([np.ones((len(frames), 1), np.float32), *values], axis=1)


def _with_embedding(model: Model) -> keras.Model | None:
    """Give the Keras model of a tagger whose last layer is linear in an embedding, else None."""
    import keras

    if not isinstance(model, KerasModel):
        return None
    layers = {layer.name: layer for layer in model.model.layers}
    embedding, logits = layers.get("embedding"), layers.get("logits")
    if embedding is None or not isinstance(logits, keras.layers.Dense):
        return None
    return model.model if logits.input is embedding.output else None


def evidence(events: np.ndarray, tags: TagScores, veto: VetoConfig) -> np.ndarray:
    """Find the tagger's largest cry score at each event, and near it, as `VetoConfig` takes them.

    Events and scores have shape (n, 2); a score is 0 where no window ends.
    """
    onsets, offsets = np.round(events * SAMPLE_RATE_HZ).T
    after, near = (round(s * SAMPLE_RATE_HZ) for s in (veto.after_seconds, veto.near_seconds))
    largest = np.zeros((len(events), 2))
    for column, (first, last) in enumerate(
        ((onsets, offsets + after), (onsets - near, offsets + near))
    ):
        starts = np.searchsorted(tags.end_samples, first, side="left")
        stops = np.searchsorted(tags.end_samples, last, side="right")
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            largest[row, column] = tags.cry[start:stop].max(initial=0.0)
    return largest


def standing(
    events: np.ndarray, tags: TagScores, veto: VetoConfig, level: str = "normal"
) -> np.ndarray:
    """Return which events stand at a level of the veto; bool, shape (n,)."""
    at, near = evidence(events, tags, veto).T
    return np.asarray((at >= veto.at(level)) & (near >= veto.near(level)))

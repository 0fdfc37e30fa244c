"""Branches of a stack without any training behind them, and samples that show what they learn."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.export.onnx import parts
from cryvision.training import branches
from cryvision.training.branches import Branch, Rows
from cryvision.training.stacking import Samples

if TYPE_CHECKING:
    import keras
    import pytest

SURE = 0.9
"""Probability with which a toy branch names a class."""

FIT_LOGIT, FIT_RIDGE, FIT_LEAST_SPREAD = 2.0, 0.1, 1e-6
"""What a model that is fitted at once shall say of its rows, give or take; and how exactly."""


@dataclass
class Spy:
    """The calls of a branch: the rows of each fit, and those that its model then predicted."""

    fits: list[Rows] = field(default_factory=list)
    predicted: list[list[np.ndarray]] = field(default_factory=list)


class NearestRow:
    """Stands for a model that knows its training rows by heart and is sure of itself."""

    operations = ()

    def __init__(self, rows: Rows, n_classes: int, predicted: list[np.ndarray]) -> None:
        self._inputs, self._labels = rows.inputs.astype(np.float64), rows.labels
        self._n_classes = n_classes
        self._predicted = predicted

    def __call__(self, inputs: np.ndarray, training: bool) -> np.ndarray:
        self._predicted.append(inputs)
        distance = np.abs(inputs[:, None].astype(np.float64) - self._inputs[None]).sum(axis=2)
        other = (1 - SURE) / (self._n_classes - 1)
        means = np.full((len(inputs), self._n_classes), other, np.float32)
        means[np.arange(len(inputs)), self._labels[distance.argmin(axis=1)]] = SURE
        return means


def nearest_row_branch(feature: str, spy: Spy | None = None) -> Branch:
    """A branch that remembers: perfect on rows it has seen, and on their subjects."""
    seen = spy or Spy()

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[Any, branches.Curves]:
        seen.fits.append(rows)
        seen.predicted.append([])
        return NearestRow(rows, n_classes, seen.predicted[-1]), {"loss": [0.0]}

    return Branch(f"branch_{feature}", feature, fit)


def untrained_ensemble(
    outputs: Mapping[str, np.ndarray], rows: Rows, n_classes: int, seed: int
) -> tuple[Any, branches.Curves]:
    """Take the place of ``fit_ensemble`` where a model is needed, and no matter what it says."""
    from cryvision.models.cha_bae import build_ensemble

    branches.begin(seed)
    return build_ensemble(list(outputs), n_classes), {"loss": [0.0]}


class TrustingEnsemble:
    """Stands for an ensemble: the sum of what its branches say, in logits."""

    def __init__(self, n_classes: int) -> None:
        self.output_shape = (None, n_classes)

    def get_layer(self, name: str) -> TrustingEnsemble:
        assert name == "calibration"
        return self

    def set_calibration(self, temperature: float, bias: np.ndarray) -> None:
        assert temperature > 0
        assert bias.shape == self.output_shape[1:]


def trusting_ensemble(
    outputs: Mapping[str, np.ndarray], rows: Rows, n_classes: int, seed: int
) -> tuple[Any, branches.Curves]:
    """Take the place of ``fit_ensemble`` where it does not matter what the ensemble learns."""
    return TrustingEnsemble(n_classes), {"loss": [0.0]}


def trusting_logits(model: Any, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Take the place of ``ensemble_logits``."""
    return np.log(np.maximum(np.stack(list(outputs.values())), 1e-6)).sum(axis=0)


def use_trusting_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stacks be fitted in no time."""
    monkeypatch.setattr(branches, "fit_ensemble", trusting_ensemble)
    monkeypatch.setattr(branches, "ensemble_logits", trusting_logits)


def convert_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models that are the same, weights and all, be converted for a bundle once.

    The files are those of the package's own conversion; a test that saves a stack again, as after
    an interruption, does not wait for them again.
    """
    monkeypatch.setattr(parts, "part_files", _converted_once)


def _converted_once(
    model: keras.Model, folder: Path, part_name: str, samples: Mapping[str, np.ndarray]
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Take the place of ``part_files``."""
    hashed = hashlib.sha256(model.to_json().encode())
    for values in (*model.get_weights(), *samples.values()):
        hashed.update(np.ascontiguousarray(values).tobytes())
    key = hashed.hexdigest()
    if key not in _CONVERTED:
        files, agreement = _PART_FILES(model, folder, part_name, samples)
        _CONVERTED[key] = {kind: path.read_bytes() for kind, path in files.items()}, agreement
    contents, agreement = _CONVERTED[key]
    files = {kind: folder / f"{part_name}.{kind}" for kind in contents}
    for kind, path in files.items():
        path.write_bytes(contents[kind])
    return files, agreement


_PART_FILES = parts.part_files
_CONVERTED: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {}


def fit_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models be fitted without being compiled, which takes longer than a fit of a few steps."""
    import keras

    compiled = functools.partialmethod(keras.Model.compile, run_eagerly=True)
    monkeypatch.setattr(keras.Model, "compile", compiled)


def fit_at_once(
    model: keras.Model,
    rows: Rows,
    targets: np.ndarray,
    seed: int,
    fitting: branches.Fitting,
    *watched: Any,
) -> branches.Curves:
    """Take the place of ``fit_early_stopped``: find the last layer by least squares.

    The layers before it stay as they were drawn, which is enough for what is easily told.
    """
    import keras

    if fitting.loss == "sparse_categorical_crossentropy":
        last = model.get_layer("logits")
        inputs = branches._model_inputs(model, rows.inputs)
        given = np.asarray(keras.Model(model.inputs, last.input)(inputs), np.float64)
        mean, spread = given.mean(axis=0), given.std(axis=0) + FIT_LEAST_SPREAD
        table = np.hstack([(given - mean) / spread, np.ones((len(given), 1))])
        weighted = table * rows.weights[:, None]
        ridge = FIT_RIDGE * rows.weights.sum() * np.eye(table.shape[1])
        wanted = FIT_LOGIT * (2.0 * np.eye(last.units)[targets] - 1)
        weights = np.linalg.solve(weighted.T @ table + ridge, weighted.T @ wanted)
        kernel = weights[:-1] / spread[:, None]
        last.set_weights([kernel, weights[-1] - mean @ kernel])
    return {"loss": [0.0]}


def not_fitted(*given: Any, **named: Any) -> branches.Curves:
    """Take the place of ``fit_early_stopped`` where it does not matter what a model learns."""
    return {"loss": [0.0]}


def subject_samples(
    n_subjects: int, n_rows: int, n_classes: int, *, planted: bool, seed: int = 0
) -> Samples:
    """Rows in which the subject is heard at once, and its class only where it is planted.

    Each subject has ``n_rows`` clips of one row. The feature ``voice`` holds the subject's own
    four numbers with a little noise, and 8 more in the place of its class if ``planted``.
    """
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), n_rows)
    labels = (rng.permutation(n_subjects) % n_classes)[subject]
    voice = rng.normal(0, 1, (n_subjects, 4))[subject] + rng.normal(0, 0.01, (len(subject), 4))
    if planted:
        voice[:, :n_classes] += 8 * np.eye(n_classes)[labels]
    return Samples(
        {"voice": voice.astype(np.float32)},
        labels,
        np.array([f"s{i}" for i in subject]),
        np.arange(len(subject)).astype(str),
    )

"""Fits the models of a stack: sound branches, and the ensemble over their outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cryvision.datasets.splits import grouped_folds
from cryvision.errors import ConfigError, CryvisionError
from cryvision.evaluation.metrics import log_loss
from cryvision.training.epochs import Epochs

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 256
SMALL_SET_ROWS, SMALL_BATCH_SIZE = 768, 32
"""Fewer rows than the one are fitted in batches of the other: an epoch must have some steps."""

AUTOENCODER_EPOCHS = 30
CLASSIFIER_EPOCHS = 80
ENSEMBLE_EPOCHS = 80
PATIENCE_EPOCHS = 10
LEARNING_RATE = 1e-3
VALIDATION_FOLDS = 6
"""One of so many folds of the training subjects is the validation set."""

DNN = "dnn"
"""The classifier of Cha & Bae's Table 2 that is a network."""

MODALITY_DROPOUT = 0.25
"""Share of an ensemble's training rows in which a branch is silenced."""

MIN_SPREAD = 1e-5
"""A column whose standard deviation in training is less than this share of its mean is taken as
constant: float32 has no more digits."""

PREDICTION_BATCH_SIZE = 1024
LARGEST_OUTPUT = 2**26
"""Numbers that the largest layer of a model may give for all rows of a batch together: 256 MB."""


@dataclass(frozen=True)
class Rows:
    """What a model is fitted on.

    ``inputs`` have shape (n, ...); ``labels``, ``weights``, how much each row counts, and
    ``subjects`` have shape (n,). ``stopping``, bool, marks validation rows; by default some
    subjects are set aside for it.
    """

    inputs: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    subjects: np.ndarray
    stopping: np.ndarray | None = None

    def __getitem__(self, rows: np.ndarray) -> Rows:
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return Rows(**{name: column[rows] for name, column in columns.items()})

    @property
    def train_rows(self) -> Rows:
        """The rows to train on, those that are set aside later among them."""
        return self if self.stopping is None else self[~self.stopping]


Curves = dict[str, list[float]]
FitBranch = Callable[[Rows, int, int], tuple["keras.Model", Curves]]
"""``fit(rows, n_classes, seed)`` gives a model with a ``logits`` layer, and its learning curves."""

Watch = Callable[[str, Curves], None]
"""Called after each epoch with the name of the fit and the curves so far."""


@dataclass(frozen=True)
class Branch:
    """One branch of a stack: the name of its part in the bundle, its feature, and its fit."""

    name: str
    feature: str
    fit: FitBranch = field(compare=False)


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted.

    ``epochs`` is the most of them, the default loss that of telling classes, the default optimizer
    RMSProp, and ``n_batch`` the rows of a step, by default as many as suit small networks.
    """

    epochs: int
    loss: str = "sparse_categorical_crossentropy"
    optimizer: keras.optimizers.Optimizer | None = None
    n_batch: int | None = None


def autoencoder_branch(feature: str, watch: Watch | None = None) -> Branch:
    """Give the branch of Cha & Bae on a feature of sound; see `cryvision.models.cha_bae`."""

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Curves]:
        from cryvision.models import cha_bae

        begin(seed)
        summary, scaling, scaled = _summarised(rows, feature)
        restorer, encoder = cha_bae.build_autoencoder(scaled.inputs.shape[1])
        how = Fitting(AUTOENCODER_EPOCHS, "mse")
        restored = fit_early_stopped(
            restorer, scaled, scaled.inputs, seed, how, watch, "autoencoder"
        )
        classifier = cha_bae.build_classifier(encoder, n_classes)
        how = Fitting(CLASSIFIER_EPOCHS)
        fitted = fit_early_stopped(
            classifier, scaled, scaled.labels, seed, how, watch, "classifier"
        )
        curves = {f"autoencoder {name}": values for name, values in restored.items()}
        curves |= {f"classifier {name}": values for name, values in fitted.items()}
        return cha_bae.build_branch(summary, scaling, classifier), curves

    return Branch(f"branch_{feature}", feature, fit)


def head_branch(feature: str, watch: Watch | None = None) -> Branch:
    """Give a small head on rows of numbers: Cha & Bae's face branch, or one's own features."""

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Curves]:
        from cryvision.models.cha_bae import build_head

        begin(seed)
        rows = replace(rows, inputs=np.asarray(rows.inputs, np.float32))
        scaling = scaling_for(rows.train_rows.inputs)
        model = build_head(scaling, rows.inputs.shape[1], n_classes, feature)
        curves = fit_early_stopped(
            model, rows, rows.labels, seed, Fitting(CLASSIFIER_EPOCHS), watch
        )
        return model, curves

    return Branch(f"branch_{feature}", feature, fit)


def baseline_branch(classifier: str, feature: str) -> Branch:
    """Give the branch of one classifier on the summary of a feature of sound.

    The classifier is one of `cryvision.models.baselines.CLASSIFIERS`, or ``dnn``; it takes mean and
    standard deviation over the frames of each of the feature's columns.
    """

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Curves]:
        from cryvision.models import baselines, cha_bae

        begin(seed)
        rows = rows if classifier == DNN else rows.train_rows  # the others have nothing to stop
        summary, scaling, scaled = _summarised(rows, feature)
        inputs = scaled.inputs
        if classifier == DNN:
            model = baselines.build_dnn(inputs.shape[1], n_classes)
            curves = fit_early_stopped(
                model, scaled, scaled.labels, seed, Fitting(CLASSIFIER_EPOCHS)
            )
            return cha_bae.build_branch(summary, scaling, model), curves
        fitted = baselines.unfitted(classifier, inputs.shape[1], seed)
        if classifier == "knn":  # its neighbours all count the same
            fitted.fit(inputs, scaled.labels)
        else:
            fitted.fit(inputs, scaled.labels, sample_weight=scaled.weights)
        model = baselines.build_baseline(summary, scaling, fitted, inputs, rows.labels, n_classes)
        # The only point of a learning curve without epochs.
        loss = log_loss(rows.labels, predict(model, rows.inputs), rows.weights)
        return model, {"loss": [loss]}

    return Branch(f"branch_{feature}", feature, fit)


def _summarised(rows: Rows, feature: str) -> tuple[keras.Model, keras.layers.Layer, Rows]:
    """Give what summarises windows and what standardises that, and the rows so computed."""
    from cryvision.models.cha_bae import build_summary

    n_frames, n_columns = rows.inputs.shape[1:]
    summary = build_summary(n_frames, n_columns, feature)
    rows = replace(rows, inputs=predict(summary, rows.inputs))
    scaling = scaling_for(rows.train_rows.inputs)
    return summary, scaling, replace(rows, inputs=np.asarray(scaling(rows.inputs)))


def scaling_for(rows: np.ndarray) -> keras.layers.Layer:
    """Standardise each column of (n, ..., d); one that never varied here is ignored."""
    from cryvision.models.cha_bae import build_scaling

    others = tuple(range(rows.ndim - 1))
    mean = rows.mean(axis=others, dtype=np.float64)
    spread = rows.std(axis=others, dtype=np.float64)
    # Divided by a deviation of next to nothing, the first other value would decide alone.
    variance = np.where(spread <= MIN_SPREAD * np.abs(mean), np.inf, spread**2)
    return build_scaling(mean, variance, rows.ndim)


def fit_ensemble(
    outputs: Mapping[str, np.ndarray], rows: Rows, n_classes: int, seed: int
) -> tuple[keras.Model, Curves]:
    """Fit the ensemble on outputs of branches that did not see the rows in training.

    The outputs are probabilities by the name of the branch, shape (n, n_classes), zeros where it
    has no output. The inputs of the rows are not looked at.
    """
    from cryvision.models.cha_bae import build_ensemble

    begin(seed)
    model = build_ensemble(list(outputs), n_classes)
    silenced = _silenced(outputs, np.random.default_rng(seed))
    stacked = Rows(silenced, rows.labels, rows.weights, rows.subjects)
    curves = fit_early_stopped(model, stacked, stacked.labels, seed, Fitting(ENSEMBLE_EPOCHS))
    # A branch without output in training has its initial weights: it must add nothing later.
    hidden = model.get_layer("hidden")
    kernel, bias = hidden.get_weights()
    present = np.concatenate([np.full(n_classes, np.any(values)) for values in outputs.values()])
    hidden.set_weights([kernel * present[:, None], bias])
    return model, curves


def _silenced(outputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Silence branches at random, never all of a row, so that the ensemble can do without any."""
    table = np.stack([np.asarray(o, np.float32) for o in outputs.values()], axis=1)
    present = np.asarray(table.any(axis=2))
    left = present & (rng.random(present.shape) >= MODALITY_DROPOUT)
    lost = ~left.any(axis=1)
    left[lost] = present[lost]
    return table * left[:, :, None]


def begin(seed: int) -> None:
    """Make what follows repeatable, and drop the graphs of models that are gone."""
    import keras
    import tensorflow as tf

    # Python frees them by itself; looking through all of its memory takes longer than a small fit.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit_early_stopped(
    model: keras.Model,
    rows: Rows,
    targets: np.ndarray,
    seed: int,
    fitting: Fitting,
    watch: Watch | None = None,
    stage: str = "",
) -> Curves:
    """Fit until the validation loss no longer falls; keep the best weights.

    Where the subjects cannot be divided, all epochs are run. The targets have shape (n, ...); the
    seed is of the subjects set aside and of the order of the rows. ``watch`` gets ``stage`` and the
    curves so far, after each epoch: ``loss`` and, with validation, ``val_loss``. A loss that is not
    finite is a CryvisionError.
    """
    import keras

    validation = validation_rows(rows, seed)
    train, judge = np.flatnonzero(~validation), np.flatnonzero(validation)
    optimizer = fitting.optimizer or keras.optimizers.RMSprop(LEARNING_RATE)
    inputs = _model_inputs(model, rows.inputs)
    epochs = Epochs(model, optimizer, fitting.loss, inputs, targets, rows.weights)
    curves: Curves = {"loss": [], **({"val_loss": []} if len(judge) else {})}
    best_weights, best_epoch = model.get_weights(), 0
    rng = np.random.default_rng(seed)
    n_batch, n_judged = fitting.n_batch or _usual_batch(train), fitting.n_batch or len(judge)
    for epoch in range(fitting.epochs):
        curves["loss"].append(epochs.train(rng.permutation(train), n_batch))
        if not np.isfinite(curves["loss"][-1]):
            raise CryvisionError(f"training must keep a finite loss; got {curves['loss'][-1]}")
        if len(judge):
            told = epochs.test(judge, n_judged)
            curves["val_loss"].append(told)
            if told == min(curves["val_loss"]):
                best_weights, best_epoch = epochs.get_weights(), epoch
        if watch is not None:
            watch(stage, curves)
        if len(judge) and epoch - best_epoch >= PATIENCE_EPOCHS:
            break
    epochs.copy_to(model, best_weights if len(judge) else None)
    return curves


def _usual_batch(rows: np.ndarray) -> int:
    return BATCH_SIZE if len(rows) >= SMALL_SET_ROWS else SMALL_BATCH_SIZE


def validation_rows(rows: Rows, seed: int) -> np.ndarray:
    """Choose the rows of the validation subjects; bool, shape (n,), perhaps none."""
    if rows.stopping is not None:
        return rows.stopping
    chosen = np.zeros(len(rows.labels), bool)
    try:
        folds = grouped_folds(rows.subjects.tolist(), rows.labels.tolist(), VALIDATION_FOLDS, seed)
    except ConfigError:
        return chosen  # too few subjects to set some aside
    chosen[folds[0]] = True
    return chosen


def class_weights(labels: np.ndarray, clips: np.ndarray, n_classes: int) -> np.ndarray:
    """Weigh rows so that each class counts the same, and each clip of one too; the mean is 1."""
    weights = clip_weights(clips)
    per_class = np.bincount(labels, weights=weights, minlength=n_classes)
    balanced = weights / per_class[labels]
    return np.asarray(balanced / balanced.mean())


def clip_weights(clips: np.ndarray) -> np.ndarray:
    """Weigh rows so that each clip counts one in all, however many rows it has."""
    _, index, counts = np.unique(clips, return_inverse=True, return_counts=True)
    return 1.0 / counts[index]


def predict(model: keras.Model, inputs: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Run a model with one output over many rows, in batches.

    Not by model.predict: tracing a graph for each model takes longer than most runs.
    """
    tables = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    n_batch = rows_at_once(model)
    outputs = []
    for first in range(0, len(tables[0]), n_batch):
        rows = [table[first : first + n_batch] for table in tables]
        given = rows if tables is inputs else rows[0]
        outputs.append(np.asarray(model(given, training=False)))
    return np.concatenate(outputs)


def rows_at_once(model: keras.Model) -> int:
    """Number of rows that a model is run on together: fewer where its layers give pictures."""
    largest = 1
    for operation in model.operations:
        given = operation.output
        for tensor in given if isinstance(given, (list, tuple)) else [given]:
            largest = max(largest, math.prod(tensor.shape[1:]))
    return max(1, min(PREDICTION_BATCH_SIZE, LARGEST_OUTPUT // largest))


def ensemble_logits(model: keras.Model, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Logits of an ensemble before its calibration, shape (n, n_classes)."""
    import keras

    to_logits = keras.Model(model.inputs, model.get_layer("logits").output)
    stacked = np.stack([outputs[i.name] for i in model.inputs], axis=1).astype(np.float32)
    return predict(to_logits, _model_inputs(to_logits, stacked))


def _model_inputs(model: keras.Model, inputs: np.ndarray) -> list[np.ndarray]:
    """Rows as the model takes them: an ensemble's stacked outputs one by one."""
    if len(model.inputs) == 1:
        flat = inputs.ndim == 3 and len(model.inputs[0].shape) == 2
        return [inputs[:, 0] if flat else inputs]
    return [inputs[:, i] for i in range(len(model.inputs))]

"""Branches of the classifiers that Cha & Bae's Table 2 compares with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryvision.training import branches as fitting
from cryvision.training.branches import Branch, Curves, Rows

if TYPE_CHECKING:
    import keras

DNN = "dnn"


def baseline_branch(classifier: str, feature: str) -> Branch:
    """Give the branch of one classifier on the summary of a feature of sound.

    Parameters
    ----------
    classifier : str
        One of `cryvision.models.baselines.CLASSIFIERS`, or ``dnn``.
    feature : str
        What it takes: mean and standard deviation over the frames of each of its columns.
    """

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[keras.Model, Curves]:
        from cryvision.models import autoencoder, baselines

        fitting.begin(seed)
        n_frames, n_columns = rows.inputs.shape[1:]
        summary = autoencoder.build_summary(n_frames, n_columns, feature)
        rows = rows if classifier == DNN else rows.train_rows  # the others have nothing to stop
        summaries = fitting.predict(summary, rows.inputs)
        scaling = fitting.scaling_for(replace(rows, inputs=summaries).train_rows.inputs)
        inputs = fitting.predict_with(scaling, summaries)
        scaled = replace(rows, inputs=inputs)
        if classifier == DNN:
            model = baselines.build_dnn(inputs.shape[1], n_classes)
            curves = fitting.fit_early_stopped(
                model, scaled, scaled.labels, seed, fitting.Fitting(fitting.CLASSIFIER_EPOCHS)
            )
            return autoencoder.build_branch(summary, scaling, model), curves
        fitted = baselines.CLASSIFIERS[classifier](inputs.shape[1], seed)
        if classifier == "knn":  # its neighbours all count the same
            fitted.fit(inputs, scaled.labels)
        else:
            fitted.fit(inputs, scaled.labels, sample_weight=scaled.weights)
        model = baselines.build_baseline(summary, scaling, fitted, inputs, rows.labels, n_classes)
        return model, {"loss": [_log_loss(fitting.predict(model, rows.inputs), rows)]}

    return Branch(f"branch_{feature}", feature, fit)


def _log_loss(probabilities: np.ndarray, rows: Rows) -> float:
    """Mean log-loss on the training rows, the only point of a learning curve without epochs."""
    own = probabilities[np.arange(len(probabilities)), rows.labels]
    return float(-np.average(np.log(own), weights=rows.weights))

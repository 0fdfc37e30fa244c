"""The written-out classifiers say what scikit-learn's say, and are saved without any of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.export.onnx.parts import part_files
from cryvision.models import baselines, cha_bae
from cryvision.runtime import safe_load
from cryvision.runtime.loading import OnnxModel

SAME = 1e-5  # float32 against float64
N_FRAMES, N_COLUMNS = 6, 4


def windows(n: int, n_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap, so that votes are split; label k is never there, of k + 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    inputs = rng.normal(size=(n, N_FRAMES, N_COLUMNS))
    inputs += 0.6 * (labels[:, None, None] == np.arange(N_COLUMNS))
    return inputs.astype(np.float32), labels


Made = tuple[Any, Any, Callable[[np.ndarray], np.ndarray]]


def make(name: str, n_classes: int) -> Made:
    """The model, scikit-learn's classifier, and what turns windows into its inputs."""
    inputs, labels = windows(150, n_classes, 0)
    summary = cha_bae.build_summary(N_FRAMES, N_COLUMNS, "mfcc")
    summaries = np.asarray(summary(inputs))
    scaling = cha_bae.build_scaling(summaries.mean(axis=0), summaries.var(axis=0))
    scaled = np.asarray(scaling(summaries))
    fitted = baselines.unfitted(name, 2 * N_COLUMNS, 0).fit(scaled, labels)
    model = baselines.build_baseline(summary, scaling, fitted, scaled, labels, n_classes + 1)
    return model, fitted, lambda given: np.asarray(scaling(summary(given)))


def with_absent_class(shares: np.ndarray) -> np.ndarray:
    """Add a class that was never there, and the smallest share to all."""
    expected = np.pad(shares, ((0, 0), (0, 1))) + baselines.SMALLEST_SHARE
    return expected / expected.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", baselines.CLASSIFIERS)
def test_it_names_the_class_that_scikit_learn_names(name: str, n_classes: int) -> None:
    model, fitted, prepared = make(name, n_classes)
    new, labels = windows(300, n_classes, 1)
    probabilities, expected = np.asarray(model(new)), fitted.predict(prepared(new))
    if name in ("knn", "random-forest"):  # ties between their votes have no order
        best = np.sort(fitted.predict_proba(prepared(new)), axis=1)[:, -2:]
        clear = np.diff(best)[:, 0] > SAME
        probabilities, expected, labels = probabilities[clear], expected[clear], labels[clear]
    np.testing.assert_array_equal(probabilities.argmax(axis=1), expected)
    assert np.mean(expected == labels) > 1.2 / n_classes
    assert probabilities[:, n_classes].max() < 2 * baselines.SMALLEST_SHARE


@pytest.mark.parametrize("name", ["random-forest", "decision-tree", "knn"])
def test_shares_are_those_of_scikit_learn(name: str) -> None:
    model, fitted, prepared = make(name, 3)
    new, _ = windows(300, 3, 1)
    expected = with_absent_class(fitted.predict_proba(prepared(new)))
    np.testing.assert_allclose(np.asarray(model(new)), expected, atol=SAME)


def test_decisions_of_support_vectors_are_those_of_scikit_learn() -> None:
    model, fitted, prepared = make("svm", 3)
    new, _ = windows(100, 3, 1)
    powers = np.exp(fitted.decision_function(prepared(new)))
    expected = with_absent_class(powers / powers.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.asarray(model(new)), expected, atol=SAME)


def test_an_input_on_a_threshold_turns_left_as_in_scikit_learn() -> None:
    from sklearn.tree import DecisionTreeClassifier

    inputs = np.array([[0.1], [0.3]], np.float32)
    tree = DecisionTreeClassifier().fit(inputs, [0, 1]).tree_
    paths = baselines._Paths(tree)
    on = np.float32(tree.threshold[0])
    for given in (on, np.nextafter(on, np.float32(1)), np.nextafter(on, np.float32(0))):
        right = tree.apply(np.array([[given]], np.float32))[0] == tree.children_right[0]
        assert (given > paths.thresholds[0]) == right


@pytest.mark.parametrize("name", baselines.CLASSIFIERS)
def test_its_files_may_be_read_by_strangers(name: str, tmp_path: Path) -> None:
    model, *_ = make(name, 3)
    new, _ = windows(50, 3, 1)
    files, agreement = part_files(model, tmp_path, "branch", {"mfcc": new})
    safe_load.check_keras(files["keras"].read_bytes(), "branch.keras")
    data = files["onnx"].read_bytes()
    safe_load.check_onnx(data, "branch.onnx")
    probabilities = OnnxModel(data, files["onnx"]).predict({"mfcc": new})
    np.testing.assert_allclose(probabilities, np.asarray(model(new)), atol=SAME)
    assert agreement["n_samples"] == 50


def test_the_dense_network_has_the_stated_units() -> None:
    dense = [x.units for x in baselines.build_dnn(8, 3).layers if type(x).__name__ == "Dense"]
    assert dense == [256, 128, 64, 3]

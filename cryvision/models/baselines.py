"""The classifiers of Cha & Bae's Table 2, fitted by scikit-learn and written out as Keras models.

Support vectors, naive Bayes, forest, tree and neighbours are each a little fixed arithmetic on the
mean and the standard deviation of a feature over the frames. Written out in standard layers they
are saved, checked, calibrated and exported as every other branch is, and a bundle needs neither
scikit-learn nor a pickle to classify. The class they name is scikit-learn's.

The paper states neither kernels nor sizes; scikit-learn's defaults stand where nothing is stated.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.models.calibration import calibration_layer_class, classes_of

if TYPE_CHECKING:
    import keras

SVM_C = 10.0
N_NEIGHBORS = 5
N_TREES = 100

MAX_LEAVES = 128
"""Of each tree of the forest: bounds the size of its written-out form."""

VARIANCE_FLOOR = 0.01
"""Added to naive Bayes' variances, as a share of the largest: classes may hold a few clips only."""

DNN_UNITS = (256, 128, 64)
DNN_DROPOUT = 0.3

SMALLEST_SHARE = 1e-3
"""Added to each class before the logarithm: one that no tree votes for is rare, not impossible."""

UNREACHED = 3e38
"""A threshold that no number is above."""


CLASSIFIERS = ("svm", "naive-bayes", "random-forest", "decision-tree", "knn")


def unfitted(classifier: str, n_inputs: int, seed: int) -> Any:
    """Make one of ``CLASSIFIERS``, not fitted yet."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return {
        # Ties between votes fall to the larger decision, as they do where it is written out.
        "svm": SVC(C=SVM_C, gamma=1 / n_inputs, break_ties=True),
        "naive-bayes": GaussianNB(var_smoothing=VARIANCE_FLOOR),
        "random-forest": RandomForestClassifier(
            N_TREES, max_leaf_nodes=MAX_LEAVES, random_state=seed
        ),
        "decision-tree": DecisionTreeClassifier(random_state=seed),
        "knn": KNeighborsClassifier(N_NEIGHBORS),
    }[classifier]


def build_dnn(n_inputs: int, n_classes: int) -> keras.Model:
    """Build the table's dense network, of 256, 128 and 64 units with ReLU and dropout.

    It goes from a standardised summary (batch, n_inputs) to class probabilities (batch, n_classes),
    to be joined by `cryvision.models.cha_bae.build_branch`.
    """
    import keras
    from keras import layers

    x = summary = keras.Input((n_inputs,), name="summary")
    for n_units in DNN_UNITS:
        x = layers.Dense(n_units, activation="relu")(x)
        x = layers.Dropout(DNN_DROPOUT)(x)
    return classes_of(summary, x, n_classes)


def build_baseline(
    summary: keras.Model,
    scaling: keras.layers.Layer,
    classifier: Any,
    inputs: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
) -> keras.Model:
    """Write out a fitted classifier of ``CLASSIFIERS`` behind its summary and scaling.

    It was fitted on the inputs, standardised summaries of shape (n, n_inputs), and the labels;
    classes that are not among these get next to nothing. The model goes from a window of the
    feature to class probabilities (batch, n_classes): of forest, tree and neighbours
    scikit-learn's, ``SMALLEST_SHARE`` added to each; of the others the softmax of scikit-learn's
    decision function, or of the mean log-likelihood of an input. The layer ``logits`` comes before
    the calibration.
    """
    import keras
    from keras import layers, ops

    x = scaling(summary.output)
    kind = type(classifier).__name__
    if kind == "SVC":
        shares = _of_support_vectors(x, classifier)
    elif kind == "GaussianNB":
        shares = _of_densities(x, classifier)
    elif kind == "KNeighborsClassifier":
        shares = _of_neighbors(x, classifier, inputs, labels)
    else:
        shares = _of_trees(x, getattr(classifier, "estimators_", [classifier]))
    one_hot = np.eye(n_classes)[classifier.classes_]
    every = _dense(shares, one_hot)
    logits = layers.Identity(name="logits")(ops.log(every + SMALLEST_SHARE))
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(summary.input, probabilities)


def _dense(x: Any, kernel: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """``x @ kernel + bias`` as a layer that holds them."""
    from keras import layers

    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, trainable=False)
    outputs = layer(x)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return outputs


def _of_support_vectors(x: Any, classifier: Any) -> Any:
    """Softmax of the one-against-the-rest decision function of an SVC with a Gaussian kernel."""
    from keras import ops

    vectors, gamma = classifier.support_vectors_, classifier.gamma
    lengths = np.sum(vectors**2, axis=1)
    near = _dense(x, 2 * gamma * vectors.T, -gamma * lengths)
    kernel = ops.exp(near - gamma * ops.sum(ops.square(x), axis=-1, keepdims=True))
    n_classes = len(classifier.classes_)
    pairs = np.array(list(combinations(range(n_classes), 2)))
    first, second = np.eye(n_classes)[pairs[:, 0]], np.eye(n_classes)[pairs[:, 1]]
    # Positive for the first of the pair; of two classes alone scikit-learn turns the sign.
    sign = -1.0 if n_classes == 2 else 1.0
    decisions = _dense(
        kernel, sign * _pair_weights(classifier, pairs), sign * classifier.intercept_
    )
    for_second = ops.relu(ops.sign(-decisions))
    votes = _dense(for_second, second - first, first.sum(axis=0))
    confidence = _dense(decisions, first - second)
    return ops.softmax(votes + confidence / (3.0 * (ops.abs(confidence) + 1.0)), axis=-1)


def _pair_weights(classifier: Any, pairs: np.ndarray) -> np.ndarray:
    """Weight of each support vector in the decision of each pair; shape (n_vectors, n_pairs)."""
    ends = np.cumsum(classifier.n_support_)
    of_class = [slice(end - n, end) for end, n in zip(ends, classifier.n_support_, strict=True)]
    weights = np.zeros((ends[-1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        weights[of_class[i], column] = classifier.dual_coef_[j - 1, of_class[i]]
        weights[of_class[j], column] = classifier.dual_coef_[i, of_class[j]]
    return weights


def _of_densities(x: Any, classifier: Any) -> Any:
    """Softmax of the mean over the inputs of their log-likelihood, not of its sum.

    The sum takes redundant inputs for independent ones and is sure of everything; the
    class is the same.
    """
    from keras import ops

    mean, variance = classifier.theta_, classifier.var_
    constant = np.log(classifier.class_prior_) - 0.5 * np.sum(
        np.log(2 * np.pi * variance) + mean**2 / variance, axis=1
    )
    kernel = np.concatenate([mean / variance, -0.5 / variance], axis=1).T
    both = ops.concatenate([x, ops.square(x)], axis=-1)
    return ops.softmax(_dense(both, kernel / x.shape[-1], constant / x.shape[-1]), axis=-1)


def _of_neighbors(x: Any, classifier: Any, inputs: np.ndarray, labels: np.ndarray) -> Any:
    """Share of each class among the nearest training rows."""
    from keras import layers, ops

    near = _dense(x, 2 * inputs.T, -np.sum(inputs.astype(np.float64) ** 2, axis=1))
    nearest = ops.top_k(near, classifier.n_neighbors)[1]
    classes = layers.Embedding(len(inputs), len(classifier.classes_), trainable=False)
    of_nearest = classes(nearest)
    classes.set_weights([(labels[:, None] == classifier.classes_).astype(np.float32)])
    return ops.mean(of_nearest, axis=1)


def _of_trees(x: Any, trees: list[Any]) -> Any:
    """Mean share of each class in the leaves that a row reaches.

    A leaf is reached where all turns on the way to it are taken: where the number of its right
    turns, less the number of wrong ones, is all of its right turns.
    """
    from keras import layers, ops

    tables = [_Paths(tree.tree_) for tree in trees]
    n_nodes = max(1, *(table.signs.shape[0] for table in tables))
    n_leaves = max(table.signs.shape[1] for table in tables)
    features = np.zeros((len(trees), n_nodes), np.int32)
    thresholds = np.full((len(trees), n_nodes), UNREACHED, np.float32)
    signs = np.zeros((len(trees), n_nodes, n_leaves), np.float32)
    n_right = np.ones((len(trees), n_leaves), np.float32)
    shares = np.zeros((len(trees), n_leaves, tables[0].shares.shape[1]), np.float32)
    for i, table in enumerate(tables):
        nodes, leaves = map(slice, table.signs.shape)
        features[i, nodes], thresholds[i, nodes] = table.features, table.thresholds
        signs[i, nodes, leaves], shares[i, leaves] = table.signs, table.shares
        n_right[i, leaves] = np.sum(table.signs > 0, axis=0)
    values = ops.take(x, features.ravel(), axis=1)
    right = ops.relu(ops.sign(values - thresholds.ravel()))
    if len(trees) == 1:
        reached = ops.relu(_dense(right, signs[0], 1.0 - n_right[0]))
    else:
        paths = layers.EinsumDense(
            "nti,til->ntl", n_right.shape, bias_axes="tl", activation="relu", trainable=False
        )
        reached = paths(layers.Reshape(features.shape)(right))
        paths.set_weights([signs, 1.0 - n_right])
        reached = layers.Flatten()(reached)
    return _dense(reached, shares.reshape(-1, shares.shape[2]) / len(trees))


class _Paths:
    """One tree by its leaves.

    Of each inner node ``features`` has the input and ``thresholds`` the value above which the way
    leads to the right. ``signs``, shape (n_nodes, n_leaves), is 1 where the way to a leaf turns
    right at a node, -1 where it turns left, else 0; ``shares``, shape (n_leaves, n_classes), are
    those of the classes in each leaf.
    """

    def __init__(self, tree: Any) -> None:
        inner = np.flatnonzero(tree.children_left >= 0)
        leaves = np.flatnonzero(tree.children_left < 0)
        self.features = tree.feature[inner]
        self.thresholds = _rounded_down(tree.threshold[inner])
        column = {int(node): i for i, node in enumerate(inner)}
        column_of = {int(leaf): i for i, leaf in enumerate(leaves)}
        self.signs = np.zeros((len(inner), len(leaves)), np.float32)
        waiting: list[tuple[int, list[tuple[int, float]]]] = [(0, [])]
        while waiting:
            node, way = waiting.pop()
            if node in column_of:
                for at, sign in way:
                    self.signs[at, column_of[node]] = sign
                continue
            for children, sign in ((tree.children_left, -1.0), (tree.children_right, 1.0)):
                waiting.append((int(children[node]), [*way, (column[node], sign)]))
        counts = tree.value[leaves, 0]
        self.shares = counts / counts.sum(axis=1, keepdims=True)


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Largest float32 not above each: a float32 is above both or above neither."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)

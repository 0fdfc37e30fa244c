"""Confounds: the label without the sound, and device and subject from the sound.

A model that is right for such a reason is of no use on other recordings. Everything is measured
on subjects that the measuring model had not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryvision.datasets.clip_stats import ClipFacts
from cryvision.datasets.splits import grouped_folds
from cryvision.errors import ConfigError
from cryvision.evaluation.bootstrap import paired_subject_bootstrap, subject_bootstrap
from cryvision.evaluation.class_statistics import class_statistics
from cryvision.evaluation.metrics import auc, confusion

GAPS_S: Mapping[str, float] = {
    "within a minute": 60.0,
    "1 to 5 minutes": 300.0,
    "5 minutes to an hour": 3600.0,
    "an hour to a day": 86400.0,
    "more than a day": float("inf"),
}
"""Between two clips of one subject, by their upper ends in seconds."""

LEAST_GAIN = 0.05
"""A share of answers right that is less above chance than this is of no consequence."""

N_FOLDS = 5
_N_DRAWS = 500
_MOST_DEVICES = 6

IntArray = NDArray[np.int64]


def header_facts(facts: ClipFacts) -> dict[str, str]:
    """Facts of a clip without its sound, by name; unknown is an empty text."""
    info, columns = facts.info, facts.clip.columns
    return {
        "sample rate": "" if info is None else f"{info.sound_rate_hz} Hz",
        "codec": "" if info is None else info.sound_codec or "",
        "channels": "" if info is None else str(info.sound_channels),
        "device": columns.get("platform", ""),
        "age": columns.get("age", ""),
        "gender": columns.get("gender", ""),
    }


def label_without_sound(facts: Sequence[ClipFacts], seed: int = 0) -> dict[str, Any]:
    """Measure how well header, length, device, age and gender predict the label.

    A decision tree learns each of them, and all together, in folds that keep subjects apart, from
    clips that could be read. ``majority`` is the share of the commonest label, ``chance`` the
    balanced accuracy of any answer without input. By name in ``facts`` are the ``accuracy`` of a
    plain tree, its ``gain`` over the majority and the ``balanced_accuracy`` of a tree that weighs
    all labels alike, each as value, low and high end of a 95 % interval over subjects; and
    ``tells``, whether either is above chance by more than `LEAST_GAIN` and the interval. A fact
    that is the same for all is in ``constant``. ``reason`` is why nothing was measured, else None.
    """
    names = sorted({one.clip.label for one in facts})
    labels = np.array([names.index(one.clip.label) for one in facts])
    subjects = [one.clip.subject for one in facts]
    most = int(np.bincount(labels).max())
    record: dict[str, Any] = {
        "majority": most / len(labels),
        "chance": 1 / len(names),
        "facts": {},
        "constant": [],
        "reason": None,
    }
    try:
        if len(names) < 2:
            raise ConfigError("there is only one label")
        folds = grouped_folds(subjects, labels.tolist(), _n_folds(subjects, labels), seed)
    except ConfigError as error:
        return {**record, "reason": str(error)}
    columns = _columns(facts)
    varying = {name: column for name, column in columns.items() if np.ptp(column, axis=0).any()}
    record["constant"] = sorted(columns.keys() - varying.keys())
    if not varying:
        return {**record, "reason": "the clips differ in nothing that is known without the sound"}
    if len(varying) > 1:
        varying["all together"] = np.concatenate(list(varying.values()), axis=1)
    for name, column in varying.items():
        record["facts"][name] = _predicted_from(column, labels, subjects, folds, len(names), seed)
    return record


def _predicted_from(
    column: np.ndarray,
    labels: IntArray,
    subjects: Sequence[str],
    folds: Sequence[NDArray[np.intp]],
    n_labels: int,
    seed: int,
) -> dict[str, Any]:
    plain = _answers(column, labels, folds, None, seed)
    weighed = _answers(column, labels, folds, "balanced", seed)
    common = _answers(np.zeros_like(column), labels, folds, None, seed)

    def right(answers: IntArray) -> Callable[[IntArray], float]:
        return lambda weights: float(np.sum(weights * (answers == labels)) / np.sum(weights))

    accuracy = subject_bootstrap(subjects, right(plain), _N_DRAWS, seed)
    gain = paired_subject_bootstrap(subjects, right(plain), right(common), _N_DRAWS, seed)
    counts_of = partial(confusion, labels, weighed, n_labels)
    mean_recall = class_statistics(counts_of, len(labels))["balanced_accuracy"]
    balanced = subject_bootstrap(subjects, mean_recall, _N_DRAWS, seed)
    above = balanced.value - 1 / n_labels
    return {
        "accuracy": list(accuracy),
        "gain": list(gain),
        "balanced_accuracy": list(balanced),
        "tells": bool(
            (gain.low > 0 and gain.value > LEAST_GAIN)
            or (balanced.low > 1 / n_labels and above > LEAST_GAIN)
        ),
    }


def _answers(
    column: np.ndarray,
    labels: IntArray,
    folds: Sequence[NDArray[np.intp]],
    weights: str | None,
    seed: int,
) -> IntArray:
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_depth=4, min_samples_leaf=5, class_weight=weights, random_state=seed
    )
    splits = [(np.setdiff1d(np.arange(len(labels)), test), test) for test in folds]
    return np.asarray(cross_val_predict(tree, column, labels, cv=splits))


def _columns(facts: Sequence[ClipFacts]) -> dict[str, np.ndarray]:
    """Numbers for each fact: a column for each of its values; the duration as it is."""
    headers = [header_facts(one) for one in facts]
    columns = {"duration": np.array([[round(one.duration_s, 2)] for one in facts])}
    for name in headers[0]:
        values = [header[name] for header in headers]
        kinds = np.array(sorted(set(values)))
        columns[name] = (np.array(values)[:, None] == kinds).astype(float)
    return columns


def device_from_sound(facts: Sequence[ClipFacts], seed: int = 0) -> dict[str, Any]:
    """Measure how well the sound from 50 to 3,400 Hz predicts the device, grouped by subject.

    ``of`` is ``device`` where devices are known, else ``file format`` (codec and sample rate). By
    name in ``devices``, each against the others, are ``auc`` (mean over folds, with its 95 %
    interval over subjects) and ``fold_auc``. Of two devices one is given, and none that one subject
    alone has. ``reason`` is why nothing was measured, else None.
    """
    of, devices = _devices(facts)
    rows = [i for i, one in enumerate(facts) if one.timbre is not None and devices[i]]
    counts = Counter(devices[i] for i in rows)
    record: dict[str, Any] = {"of": of, "counts": dict(counts), "devices": {}, "reason": None}
    if len(counts) < 2:
        return {**record, "reason": f"all clips are of one {of}, or it is not known"}
    timbres = np.stack([facts[i].timbre for i in rows])  # type: ignore[misc]
    subjects = [facts[i].clip.subject for i in rows]
    names = [name for name, _ in counts.most_common(_MOST_DEVICES)]
    for name in names[-1:] if len(counts) == 2 else names:
        truth = np.array([devices[i] == name for i in rows]).astype(np.int64)
        try:
            folds = grouped_folds(subjects, truth.tolist(), _n_folds(subjects, truth), seed)
            record["devices"][name] = _fold_auc(timbres, truth, subjects, folds, seed)
        except ConfigError as error:
            record["reason"] = str(error)
    if record["devices"]:
        record["reason"] = None
    return record


def _devices(facts: Sequence[ClipFacts]) -> tuple[str, list[str]]:
    headers = [header_facts(one) for one in facts]
    devices = [header["device"] for header in headers]
    if len(set(devices) - {""}) >= 2:
        return "device", devices
    return "file format", [f"{header['codec']}, {header['sample rate']}" for header in headers]


def _fold_auc(
    timbres: np.ndarray,
    truth: IntArray,
    subjects: Sequence[str],
    folds: Sequence[NDArray[np.intp]],
    seed: int,
) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    of_folds = []
    for test in folds:
        train = np.setdiff1d(np.arange(len(truth)), test)
        if len(set(truth[train])) < 2 or len(set(truth[test])) < 2:
            continue  # a fold of one device alone has no AUC
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000)
        )
        model.fit(timbres[train], truth[train])
        of_folds.append((test, model.decision_function(timbres[test])))
    if not of_folds:
        raise ConfigError("no fold has two of them in both training and test")

    def mean_auc(weights: IntArray) -> float:
        areas = [auc(truth[test], scores, weights[test]) for test, scores in of_folds]
        finite = [area for area in areas if not np.isnan(area)]
        return float(np.mean(finite)) if finite else float("nan")

    return {
        "auc": list(subject_bootstrap(subjects, mean_auc, _N_DRAWS, seed)),
        "fold_auc": [auc(truth[test], scores) for test, scores in of_folds],
    }


def subject_from_sound(facts: Sequence[ClipFacts]) -> dict[str, Any]:
    """Tell how often the clip that sounds most alike is of the same subject.

    Copies must be left out. ``n`` counts the clips whose subject has another clip. ``share`` is
    that of them whose nearest neighbour among all clips, by timbre, is of their subject; ``chance``
    is what a random neighbour gives. Both are None where there is no such clip.
    """
    from sklearn.neighbors import NearestNeighbors

    audible = [one for one in facts if one.timbre is not None]
    of_subject = Counter(one.clip.subject for one in audible)
    repeated = np.array([of_subject[one.clip.subject] > 1 for one in audible], bool)
    if not repeated.any():
        return {"n": 0, "share": None, "chance": None}
    timbres = np.stack([one.timbre for one in audible]).astype(np.float32)  # type: ignore[misc]
    timbres = (timbres - timbres.mean(axis=0)) / np.maximum(timbres.std(axis=0), 1e-6)
    codes = np.unique([one.clip.subject for one in audible], return_inverse=True)[1]
    nearest = NearestNeighbors(n_neighbors=1).fit(timbres).kneighbors(return_distance=False)
    same = codes[nearest[:, 0]] == codes
    siblings = np.array([of_subject[one.clip.subject] - 1 for one in audible])
    return {
        "n": int(repeated.sum()),
        "share": float(same[repeated].mean()),
        "chance": float(siblings[repeated].mean() / (len(audible) - 1)),
    }


def label_changes(facts: Sequence[ClipFacts]) -> dict[str, dict[str, Any]]:
    """Follow each subject through time, from clip to clip of known time of recording.

    For each of `GAPS_S` there are the number of ``pairs`` of successive clips and ``changed``:
    subject, seconds between, and path and label of both clips, where the labels differ.
    """
    timed = sorted(
        (one.clip.subject, float(one.clip.columns["epoch_s"]), one.clip.path.as_posix(), number)
        for number, one in enumerate(facts)
        if one.clip.columns.get("epoch_s")
    )
    changes: dict[str, dict[str, Any]] = {name: {"pairs": 0, "changed": []} for name in GAPS_S}
    for (subject, start_s, _, before), (other, end_s, _, after) in pairwise(timed):
        if subject != other:
            continue
        gap_s = end_s - start_s
        name = next(name for name, most_s in GAPS_S.items() if gap_s < most_s)
        changes[name]["pairs"] += 1
        first, second = facts[before].clip, facts[after].clip
        if first.label != second.label:
            changes[name]["changed"].append(
                {
                    "subject": subject,
                    "gap_s": gap_s,
                    "first": str(first.path),
                    "second": str(second.path),
                    "labels": [first.label, second.label],
                }
            )
    return changes


def _n_folds(subjects: Sequence[str], labels: IntArray) -> int:
    return max(2, min(N_FOLDS, len(set(subjects)), int(np.bincount(labels).max())))

"""Table 3 of Cha & Bae: three models on sound and faces, each pair of classes and all of them.

Run ``python experiments/table3.py`` for videos that are made up for it (a quarter of an hour), or
``python experiments/table3.py SOURCE`` with SOURCE as for ``cryvision train``. Compared are a
support vector machine, one autoencoder with a dense network behind it over all inputs at once, and
the proposed ensemble of a branch for each input. Each is judged by clip, twice:

- ``grouped``: no subject is on both sides. This is what a new baby can expect.
- ``random``: clips are divided whatever their subject, as in most published tables. A model that
  knows the subjects again looks good there; **that is never skill**, and a warning says so.

The table goes to stdout, and as JSON to ``results/<name>.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import make_videos
import numpy as np
from record import data_hash, say, show_log, write_result

from cryvision.bundle import Bundle, fields
from cryvision.config import FaceConfig, to_json
from cryvision.datasets.labelled import find_labelled_clips, joined_sources
from cryvision.datasets.splits import grouped_folds
from cryvision.evaluation import skill
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.training import branches, stacking
from cryvision.training.branches import Rows
from cryvision.training.cross_validation import clip_means
from cryvision.training.options import GATES
from cryvision.training.saving import Settings
from cryvision.training.stacking import Samples
from cryvision.training.train import clip_features, recipe_for
from cryvision.training.training_set import class_names, without_unreadable

Predict = Callable[[Samples], np.ndarray]
"""Gives something like probabilities for rows, shape (n, n_classes)."""

MADE_UP_SUBJECTS = 12
MADE_UP_FACE = FaceConfig(
    mode="center",
    crop_size_px=64,
    embed_every_frames=10,
    embedding_width=512,
    backbone="squeezenet",
    backbone_weights="random",
)
"""The drawn faces are in the middle, and need no download to be told apart."""

WARNING = (
    "warning: 'random' lets clips of one subject fall on both sides of the split; its figures show "
    "how much a table can flatter, and are no skill on new babies"
)


def joined(samples: Samples) -> np.ndarray:
    """All features of each row in one vector: of windows, mean and deviation over their frames."""
    parts = []
    for values in samples.features.values():
        table = values.astype(np.float32)
        if table.ndim == 3:
            table = np.concatenate([table.mean(axis=1), table.std(axis=1)], axis=1)
        parts.append(table)
    return np.concatenate(parts, axis=1)


class Filler:
    """Puts the training's mean where a feature is missing, and standardises."""

    def __init__(self, rows: np.ndarray) -> None:
        known = np.where(np.isnan(rows).all(axis=0), 0, rows)
        self._mean = np.nanmean(known, axis=0)
        self._deviation = np.nanstd(known, axis=0)
        # What never varied has nothing to say.
        self._constant = self._deviation <= 1e-5 * np.abs(self._mean)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        scaled = (rows - self._mean) / np.where(self._constant, 1, self._deviation)
        return np.where(np.isnan(rows) | self._constant, 0, scaled).astype(np.float32)


def fit_svm(samples: Samples, n_classes: int, settings: Settings, seed: int) -> Predict:
    """A support vector machine with a Gaussian kernel on the joined vector; it votes by window."""
    from sklearn.svm import SVC

    rows = joined(samples)
    filler = Filler(rows)
    machine = SVC(class_weight="balanced", random_state=seed).fit(filler(rows), samples.labels)
    return lambda tested: np.eye(n_classes)[machine.predict(filler(joined(tested)))]


def fit_autoencoder(samples: Samples, n_classes: int, settings: Settings, seed: int) -> Predict:
    """One denoising autoencoder over the joined vector, and dense layers on its code."""
    from cryvision.models import cha_bae

    branches.begin(seed)
    rows = joined(samples)
    filler = Filler(rows)
    weights = branches.class_weights(samples.labels, samples.clips, n_classes)
    known = Rows(filler(rows), samples.labels, weights, samples.subjects)
    restorer, encoder = cha_bae.build_autoencoder(rows.shape[1])
    restoring = branches.Fitting(branches.AUTOENCODER_EPOCHS, "mse")
    branches.fit_early_stopped(restorer, known, known.inputs, seed, restoring)
    classifier = cha_bae.build_classifier(encoder, n_classes)
    telling = branches.Fitting(branches.CLASSIFIER_EPOCHS)
    branches.fit_early_stopped(classifier, known, known.labels, seed, telling)
    return lambda tested: branches.predict(classifier, filler(joined(tested)))


def fit_ensemble(samples: Samples, n_classes: int, settings: Settings, seed: int) -> Predict:
    """The proposed model: a branch for each input, and their ensemble on out-of-fold outputs."""
    recipe = recipe_for(settings)
    stack = stacking.fit_stack(recipe, samples, n_classes, seed)
    return lambda tested: stack.predict(recipe, tested)


MODELS: Mapping[str, Callable[[Samples, int, Settings, int], Predict]] = {
    "SVM": fit_svm,
    "AE+DNN": fit_autoencoder,
    "ensemble": fit_ensemble,
}


def folds_of(
    protocol: str, subjects: np.ndarray, labels: np.ndarray, n_folds: int, seed: int
) -> list[np.ndarray]:
    """Numbers of the clips of each fold."""
    if protocol == "grouped":
        return grouped_folds(subjects.tolist(), labels.tolist(), n_folds, seed)
    # Every clip a subject of its own: what a split by file does.
    return grouped_folds(list(range(len(labels))), labels.tolist(), n_folds, seed)


def predicted_clips(
    fit: Callable[[Samples, int, Settings, int], Predict],
    samples: Samples,
    clip_labels: np.ndarray,
    folds: Sequence[np.ndarray],
    n_classes: int,
    settings: Settings,
    seed: int,
) -> np.ndarray:
    """What a model says of each clip when it is fitted without the clip's fold."""
    clip_of_row = samples.clips.astype(int)
    mean = np.zeros((len(clip_labels), n_classes))
    for test in folds:
        rows = np.isin(clip_of_row, test)
        predict = fit(samples[np.flatnonzero(~rows)], n_classes, settings, seed)
        predicted = predict(samples[np.flatnonzero(rows)])
        train = np.setdiff1d(np.arange(len(clip_labels)), test)
        share = np.bincount(clip_labels[train], minlength=n_classes) / len(train)
        prior = np.tile(share, (len(clip_labels), 1))
        mean[test] = clip_means(predicted, clip_of_row[rows], prior)[test]
    return mean


def restricted(
    samples: Samples, clip_labels: np.ndarray, classes: Sequence[int]
) -> tuple[Samples, np.ndarray]:
    """Keep the clips of some classes, numbered anew; give their rows, and their former numbers."""
    kept = np.flatnonzero(np.isin(clip_labels, classes))
    rows = np.flatnonzero(np.isin(samples.clips.astype(int), kept))
    chosen = samples[rows]
    return (
        Samples(
            chosen.features,
            np.searchsorted(classes, chosen.labels),
            chosen.subjects,
            np.searchsorted(kept, chosen.clips.astype(int)).astype(str),
        ),
        kept,
    )


def measure(
    samples: Samples,
    clip_labels: np.ndarray,
    clip_subjects: np.ndarray,
    settings: Settings,
    n_folds: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Figures of each model under both protocols, for one choice of classes."""
    n_classes = int(clip_labels.max()) + 1
    found: dict[str, dict[str, Any]] = {}
    for protocol in ("grouped", "random"):
        folds = folds_of(protocol, clip_subjects, clip_labels, n_folds, seed)
        number = np.empty(len(clip_labels), int)
        for i, fold in enumerate(folds):
            number[fold] = i
        found[protocol] = {}
        for name, fit in MODELS.items():
            say(f"  {protocol}, {name}")
            mean = predicted_clips(fit, samples, clip_labels, folds, n_classes, settings, seed)
            measured = OutOfFoldPredictions("clip", clip_labels, mean, mean, clip_subjects, number)
            figures = skill.figures(measured)
            found[protocol][name] = {
                figure: figures[figure] for figure in ("balanced_accuracy", "accuracy", "macro_f1")
            }
    return found


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Balanced accuracy in per cent, its interval in brackets where it can be one on new babies."""
    columns = [(protocol, name) for protocol in ("grouped", "random") for name in MODELS]
    head = ["classes", "chance", *(f"{name}, {protocol}" for protocol, name in columns)]
    lines = [head, ["---"] * len(head)]
    for title, result in results.items():
        cells = [title, f"{100 * result['chance']:.0f}"]
        for protocol, name in columns:
            figure = result["models"][protocol][name]["balanced_accuracy"]
            cell = f"{100 * figure['value']:.1f}"
            if protocol == "grouped" and "interval" in figure:
                cell += " [{:.0f}, {:.0f}]".format(*(100 * end for end in figure["interval"]))
            cells.append(cell)
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare three models on labelled videos.")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="folder per class, or a manifest CSV; without it, videos are made up",
    )
    parser.add_argument("--subject-pattern", metavar="REGEX", help="with SOURCE")
    parser.add_argument("--gate", choices=GATES, default="cry", help="with SOURCE (default cry)")
    parser.add_argument(
        "--face", default="{}", metavar="JSON", help="with SOURCE: a FaceConfig as JSON"
    )
    parser.add_argument("--folds", type=int, default=3, help="(default 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="table3", help="of the JSON file (default table3)")
    return parser.parse_args()


def main() -> None:
    show_log()
    options = read_options()
    if options.source is not None:
        face = fields.settings(FaceConfig, json.loads(options.face), "--face")
        compare(options, options.source, options.subject_pattern, options.gate, face)
        return
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "made up"
        make_videos.make(videos, MADE_UP_SUBJECTS, seed=options.seed)
        compare(options, videos, make_videos.SUBJECT_PATTERN, "none", MADE_UP_FACE)


def compare(
    options: argparse.Namespace,
    source: str | Path,
    subject_pattern: str | None,
    gate: str,
    face: FaceConfig,
) -> None:
    """Judge all models on all choices of classes, and write the table."""
    started = time.time()
    data = find_labelled_clips(source, subject_pattern)
    labels = class_names(data)
    samples, unreadable, settings = clip_features(
        data, labels, Bundle.load() if gate == "cry" else None, face,
        require_face=False, cache=None,
    )  # fmt: skip
    for problem in [*data.problems, *unreadable.values()]:
        say(problem)
    data, samples = without_unreadable(data, samples, unreadable)
    clip_labels = np.array([labels.index(clip.label) for clip in data.clips])
    clip_subjects = np.array([clip.subject for clip in data.clips])
    choices = [*combinations(range(len(labels)), 2)]
    if len(labels) > 2:
        choices.append(tuple(range(len(labels))))
    results = {}
    for classes in choices:
        title = " / ".join(labels[i] for i in classes) if len(classes) == 2 else "all"
        say(title)
        chosen, kept = restricted(samples, clip_labels, classes)
        own_labels = np.searchsorted(classes, clip_labels[kept])
        results[title] = {
            "chance": 1 / len(classes),
            "n_clips": len(kept),
            "models": measure(
                chosen, own_labels, clip_subjects[kept], settings, options.folds, options.seed
            ),
        }
    print(WARNING, file=sys.stderr)
    print(table(results))
    write_result(
        options.name,
        options.seed,
        {
            "source": Path(source).name,
            "data_sha256": data_hash([*samples.features.values(), samples.labels]),
            "labels": list(labels),
            "n_subjects": len(set(clip_subjects.tolist())),
            "subjects": joined_sources(data.clips),
            "gate": gate,
            "features": {name: to_json(config) for name, config in settings.items()},
            "n_folds": options.folds,
            "unit": "clip",
            "warning": WARNING,
            "results": results,
            "minutes": (time.time() - started) / 60,
        },
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()

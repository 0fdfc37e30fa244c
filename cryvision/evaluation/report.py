"""What was measured of a classifier, for people and for machines: texts, figures and JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.atomic import check_place, replacing
from cryvision.errors import CryvisionError
from cryvision.evaluation import figures, metrics, skill
from cryvision.evaluation.bootstrap import bootstrap_figures
from cryvision.evaluation.event_metrics import PrecisionRecallF1
from cryvision.evaluation.markdown import training_text
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.os_errors import os_errors
from cryvision.outputs.tables import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryvision.datasets.labelled import Dataset
    from cryvision.training.branches import Curves

CONFUSION, RELIABILITY, CURVES = "confusion.png", "reliability.png", "learning_curves.png"
JSON, TEXT = "report.json", "report.md"

_BIN_DRAWS = 200


def write_report(
    folder: Path,
    units: Sequence[OutOfFoldPredictions],
    labels: Sequence[str],
    skill: Sequence[Mapping[str, Any]],
    curves: Mapping[str, Curves],
    data: Dataset,
    shared: Mapping[str, int],
    warning: str = "",
) -> None:
    """Write how good a trained classifier is: JSON, a text and figures, all of them or none.

    ``units`` are predictions for held-out subjects, of clips and of windows, ``skill`` the entry of
    each that the bundle has, ``curves`` the learning curves of the models that were kept, by
    branch, ``shared`` what was on both sides (see `cryvision.datasets.protocols.overlap`), and
    ``warning`` why the figures do not hold for new subjects, if so. The folder is made, or replaced
    if it holds an older report; see `check_folder`.
    """
    n_subjects = len(set(units[0].subjects.tolist()))
    record = plain(
        {
            "labels": list(labels),
            "protocol": skill[0]["protocol"],
            "warning": warning,
            "subjects": {"n": n_subjects, "known_from": skill[0]["subjects"]},
            "on_both_sides": shared,
            "units": {
                measured.unit: unit_record(measured, labels, entry)
                for measured, entry in zip(units, skill, strict=True)
            },
            "per_subject": subject_records(units, labels),
            "learning_curves": curves,
            "problems": list(data.problems),
        }
    )
    drawings = {
        **draw({f"by {u}": r for u, r in record["units"].items()}),
        CURVES: figures.draw_learning_curves(curves),
    }
    write_folder(folder, record, training_text(folder.name, record), drawings)


def unit_record(
    measured: OutOfFoldPredictions,
    labels: Sequence[str],
    entry: Mapping[str, Any],
    unanswered: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """Describe what was measured by one unit, with what nobody needs to listen for beside it.

    ``entry`` is its skill entry, from `cryvision.evaluation.skill.skill_entry`; ``unanswered`` has
    the answers instead of a class, and the number of samples of each class. For `draw` there are
    ``confusion`` (``labels`` of its rows, ``answers`` of its columns, ``counts``) and
    ``reliability`` (``bins``, and what the stated probability is ``of``).
    """
    predicted = measured.probabilities.argmax(axis=1)
    counts = metrics.confusion(measured.labels, predicted, len(labels)).astype(int)
    others = unanswered or {}
    per_class = {
        label: {
            **PrecisionRecallF1.from_counts(
                counts[i, i], counts[i].sum(), counts[:, i].sum()
            )._asdict(),
            "support": counts[i].sum(),
            "answered": counts[:, i].sum(),
        }
        for i, label in enumerate(labels)
    }
    return {
        "n": len(measured.labels),
        "n_subjects": len(set(measured.subjects.tolist())),
        **{name: entry[name] for name in ("figures", "chance", "prior")},
        "majority": skill.majority(measured.labels),
        "confusion": {
            "labels": list(labels),
            "answers": [*labels, *others],
            "counts": np.column_stack([counts, *others.values()]),
        },
        "per_class": per_class,
        "reliability": {
            "of": "the answer",
            "bins": reliability_bins(
                measured.probabilities.max(axis=1), predicted == measured.labels, measured.subjects
            ),
        },
    }


def detection_panels(
    cry: np.ndarray,
    called: np.ndarray,
    scores: np.ndarray,
    subjects: np.ndarray,
    shares: np.ndarray | None = None,
) -> dict[str, Any]:
    """Describe calls of crying or not by ``confusion`` and ``reliability``, as `unit_record` has.

    All are of shape (n,): ``cry`` and ``called`` are 0 or 1, scores 0 to 1, NaN where there is
    none. The scores are compared with ``shares``, how much of each is crying, or with ``cry``.
    """
    true = cry if shares is None else shares
    answers, scored = ["no cry", "cry"], np.isfinite(scores)
    counts = metrics.confusion(cry, called, 2).astype(int) if len(cry) else np.zeros((2, 2), int)
    return {
        "confusion": {"labels": answers, "answers": answers, "counts": counts},
        "reliability": {
            "of": "crying",
            "bins": reliability_bins(scores[scored], true[scored], subjects[scored]),
        },
    }


def reliability_bins(
    stated: np.ndarray, true: np.ndarray, subjects: np.ndarray
) -> list[dict[str, Any]]:
    """Compare stated probabilities with how often it was so (Guo et al., ICML 2017, section 2).

    For each bin of equal width that holds any: ``from``, ``to``, ``n``, the means ``stated`` and
    ``true``, and the 95 % ``interval`` of the latter over subjects, where there are several.
    """
    n_bins, bin_of_row = metrics.N_BINS, metrics.calibration_bins(stated)
    bins = []
    for number in np.unique(bin_of_row):
        rows = bin_of_row == number
        edges = {"from": number / n_bins, "to": (number + 1) / n_bins}
        bins.append(edges | _bin(stated[rows], true[rows], subjects[rows]))
    return bins


def _bin(stated: np.ndarray, true: np.ndarray, subjects: np.ndarray) -> dict[str, Any]:
    shares = {"true": lambda weights: float(np.average(true, weights=weights))}
    figure = bootstrap_figures(subjects, shares, _BIN_DRAWS)["true"]
    return {"n": len(true), "stated": float(stated.mean()), "true": figure.pop("value"), **figure}


def subject_records(units: Sequence[OutOfFoldPredictions], labels: Sequence[str]) -> dict[str, Any]:
    """Count, by subject: samples of each unit, those answered right, and the clips' classes."""
    records: dict[str, Any] = {}
    for measured in units:
        right = measured.probabilities.argmax(axis=1) == measured.labels
        for subject in sorted(set(measured.subjects.tolist())):
            rows = measured.subjects == subject
            records.setdefault(subject, {})[measured.unit] = {
                "n": int(rows.sum()),
                "right": int(right[rows].sum()),
                "labels": dict(Counter(labels[i] for i in measured.labels[rows])),
            }
    return records


def draw(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Figure]:
    """Draw the confusion and the reliability of records by title, a panel for each; by file name.

    The records are those of `unit_record`, or others with its ``confusion`` and ``reliability``.
    """
    confusions = {title: record["confusion"] for title, record in records.items()}
    reliabilities = {title: record["reliability"] for title, record in records.items()}
    return {
        CONFUSION: figures.draw_confusion(confusions),
        RELIABILITY: figures.draw_reliability(reliabilities),
    }


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Make sure before any work that a report may be written to a folder.

    Raises
    ------
    CryvisionError
        If it cannot be written, or something else than an older report is there: what is not ours
        is never replaced.
    """
    target = Path(os.path.abspath(folder))
    check_place(target)
    with os_errors(f"{target}: a report is a folder; this cannot be read as one"):
        names = set(os.listdir(target)) if target.exists() else set()
    foreign = sorted(names - {JSON, TEXT, CONFUSION, RELIABILITY, CURVES})
    if foreign:
        raise CryvisionError(
            f"{target}: only an older report is replaced; this folder holds {foreign[0]!r} too"
        )
    return target


def write_folder(
    folder: str | os.PathLike[str],
    record: Mapping[str, Any],
    text: str,
    drawings: Mapping[str, Figure],
) -> None:
    """Write a report: ``report.json``, ``report.md`` and figures by file name; all or none."""
    target = check_folder(folder)
    with replacing(target) as staging:
        staging.mkdir()
        content = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False)
        (staging / JSON).write_text(content + "\n", encoding="utf-8")
        (staging / TEXT).write_text(text + "\n", encoding="utf-8")
        for name, figure in drawings.items():
            figures.write_png(figure, staging / name)

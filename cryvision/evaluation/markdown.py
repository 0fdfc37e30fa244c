"""Reports in words: tables that a terminal and a reader of Markdown both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryvision.outputs.wording import counted

_FIGURES = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log-loss",
    "ece": "calibration error",
    "auc": "AUC",
}
_DETECTION = {
    "sensitivity": "crying is detected where there is some",
    "specificity": "none is detected where there is none",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auc": "AUC of the clip's score",
}
_AGREEMENT = {
    "event_f1": "events: F1",
    "event_precision": "events: precision",
    "event_recall": "events: recall",
    "iou": "time: intersection over union",
    "false_alarms_per_hour": "false alarms an hour",
    "window_kappa": "windows: kappa",
    "window_f1": "windows: F1",
    "window_balanced_accuracy": "windows: balanced accuracy",
    "window_accuracy": "windows: accuracy",
    "window_auc": "windows: AUC",
    "window_log_loss": "windows: log-loss",
    "window_ece": "windows: calibration error",
}
_CONSTANT_SCORES = {"window_auc": "chance", "window_log_loss": "prior"}
_GUESSED_SUBJECTS = (
    "Warning: subjects are not known, so each file counts as one: intervals are too narrow, and "
    "nothing here is skill on new babies."
)
_MOST_COLUMNS = 10
"""A confusion matrix of more columns is left to the figure and the JSON."""


def training_text(title: str, record: Mapping[str, Any]) -> str:
    """Say in Markdown how good a trained classifier is, from what ``report.json`` holds.

    See `cryvision.evaluation.report.write_report`; there is no final newline.
    """
    subjects = record["subjects"]
    lines = [
        f"# {_cell(title)}",
        "",
        _protocol_line(record),
        *(["", _GUESSED_SUBJECTS] if subjects["known_from"] == "file" else []),
        "",
        _reading_line(subjects["n"]),
    ]
    for unit, of_unit in record["units"].items():
        lines += _unit_lines(unit, of_unit)
    lines += _subject_lines(record["per_subject"])
    return "\n".join(lines + _list_lines("Remarks on the data", record["problems"]))


def _protocol_line(record: Mapping[str, Any]) -> str:
    subjects = record["subjects"]
    shared = record["on_both_sides"]
    both_sides = (
        f"On both sides: {counted(shared['subjects'], 'subject')} and, of the test clips, "
        f"the files of {shared['same_files']}, {shared['duplicates']} duplicates and "
        f"{shared['near_duplicates']} near-duplicates."
    )
    if record["warning"]:
        return (
            f"**No measure of skill.** {record['protocol']}. Here {record['warning']}. {both_sides}"
        )
    return (
        f"Measured on held-out subjects: {record['protocol']}, "
        f"{counted(subjects['n'], 'subject')} (known from: {subjects['known_from']}). {both_sides}"
    )


def evaluation_text(record: Mapping[str, Any]) -> str:
    """Say in Markdown how a bundle did on a source, from `cryvision.evaluation.evaluate.evaluate`.

    There is no final newline.
    """
    bundle, subjects = record["bundle"], record["subjects"]
    lines = [
        f"# {_cell(bundle['name'])} on {_cell(record['source'])}",
        "",
        f"Bundle {_cell(bundle['name'])}, sha256 {bundle['sha256'][:12]}, by {record['runtime']}: "
        f"{counted(record['n_clips'], 'clip')} of {counted(subjects['n'], 'subject')} "
        f"(known from: {subjects['known_from']}). It was trained on: "
        f"{'; '.join(map(_cell, record['trained_on']))}.",
        *(f"\nWarning: {_cell(warning)}." for warning in record["warnings"]),
        "",
        _reading_line(subjects["n"]),
    ]
    for unit, of_unit in record.get("units", {}).items():
        lines += _unit_lines(unit, of_unit)
    if record.get("frames"):
        lines += _frame_lines(record["frames"])
    if record.get("modalities"):
        lines += _modality_lines(record["modalities"])
    if "given_labels" in record:
        label_counts = (f"{_cell(label)} {n}" for label, n in record["given_labels"].items())
        lines += [
            "",
            f"Labels that the bundle gives by its own policy, by clip: {', '.join(label_counts)}.",
        ]
        lines += _subject_lines(record["per_subject"])
    if "detection" in record:
        lines += _detection_lines(record["detection"])
    if "agreement" in record:
        lines += _agreement_lines(record["agreement"])
    lines += _list_lines("Clips that failed", record["failed"])
    return "\n".join(lines + _list_lines("Remarks on the data", record["problems"]))


def _reading_line(n_subjects: int) -> str:
    """Say how to read the figures; sections of one subject say themselves what they lack."""
    rule = "A figure counts only where it is better than the one without listening."
    return rule if n_subjects < 2 else f"{rule} {intervals_line(n_subjects)}"


def _section(heading: str, table: Sequence[str], record: Mapping[str, Any]) -> list[str]:
    """Put a heading above a table, and why it has no intervals below."""
    why = ["", intervals_line(1)] if record["n_subjects"] == 1 else []
    return ["", f"## {heading}", "", *table, *why]


def intervals_line(n_subjects: int) -> str:
    """Say what the intervals are over, or why there are none."""
    if n_subjects < 2:
        return "No 95 % intervals: they are over subjects, and there is only one."
    return f"95 % intervals: bootstrap over {n_subjects:,} subjects."


def _unit_lines(unit: str, record: Mapping[str, Any]) -> list[str]:
    heading = f"By {unit}: {record['n']:,} of {counted(record['n_subjects'], 'subject')}"
    figures = _figure_table(record["figures"], _FIGURES, _baselines(record))
    lines = _section(heading, figures, record)
    rows = [
        [_cell(label), *(_number(of[n]) for n in ("precision", "recall", "f1")), of["support"]]
        for label, of in record["per_class"].items()
    ]
    lines += ["", *table(["class", "precision", "recall", "F1", f"{unit}s"], rows)]
    lines += _confusion_lines(record["confusion"])
    of_all = record.get("of_all")
    if of_all and of_all["n"] > record["n"]:
        lines += [
            "",
            f"Of {of_all['n']:,} {unit}s {record['n']:,} were answered with a class, and figures "
            "are on these; with the others as wrong answers, accuracy is "
            f"{_number(of_all['accuracy'])}.",
        ]
    return lines


def _confusion_lines(confusion: Mapping[str, Any]) -> list[str]:
    answers = [_cell(answer) for answer in confusion["answers"]]
    if len(answers) > _MOST_COLUMNS:
        return []
    cells = zip(confusion["labels"], confusion["counts"], strict=True)
    rows = [[_cell(label), *counts] for label, counts in cells]
    return ["", *table(["label \\ answer", *answers], rows)]


def _baselines(record: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """What is reached without listening, and by what."""
    majority = record["majority"]
    return {
        "balanced_accuracy": (record["chance"], "chance"),
        "accuracy": (majority["accuracy"], "majority"),
        "macro_f1": (majority["macro_f1"], "majority"),
        "log_loss": (record["prior"]["log_loss"], "prior"),
        "auc": (0.5, "chance"),
    }


def _frame_lines(record: Mapping[str, Any]) -> list[str]:
    without = {
        "balanced_accuracy": f"{_number(record['chance'])} (chance)",
        "accuracy": f"{_number(record['majority']['accuracy'])} (majority)",
        "label_changes_per_minute": "0.0",
    }
    shown = {**_FIGURES, "label_changes_per_minute": "label changes a minute"}
    rows = [
        [shown[name], *(_estimate(record[form][name]) for form in ("newest", "smoothed")), other]
        for name, other in without.items()
    ]
    heading = f"By frame: {record['n']:,} of {counted(record['n_subjects'], 'subject')}"
    header = ["figure", "newest window", "smoothed", "without listening"]
    return _section(heading, table(header, rows), record)


def _modality_lines(record: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = ("balanced_accuracy", "auc", "log_loss")
    rows = [
        [modality, unit, of_unit["n"], *(_estimate(of_unit["figures"].get(name)) for name in names)]
        for modality, units in record.items()
        for unit, of_unit in units.items()
    ]
    header = ["decided from", "by", "n", *(_FIGURES[name] for name in names)]
    return ["", "## By modality", "", *table(header, rows)]


def _detection_lines(record: Mapping[str, Any]) -> list[str]:
    baselines = {"balanced_accuracy": (0.5, "chance"), "auc": (0.5, "chance")}
    n_silent = record["n_unheard"]
    n_subjects = counted(record["n_subjects"], "subject")
    heading = f"Crying or not, by clip: {record['n']:,} of {n_subjects}"
    return [
        *_section(heading, _figure_table(record["figures"], _DETECTION, baselines), record),
        *_confusion_lines(record["confusion"]),
        *(["", f"Of {counted(n_silent, 'more clip')} no sound was scored."] if n_silent else []),
    ]


def _agreement_lines(record: Mapping[str, Any]) -> list[str]:
    events, tolerance = record["events"], record["tolerance_s"]
    baselines = {
        name: (value, _CONSTANT_SCORES.get(name, "always crying"))
        for name, value in record["without_listening"].items()
        if name != "window_ece"  # a constant share is calibrated, and means nothing
    }
    heading = (
        f"Agreement on crying: {counted(record['n_clips'], 'clip')} of "
        f"{counted(record['n_subjects'], 'subject')}, {60 * record['hours']:.1f} minutes"
    )
    text = [
        f"Annotators marked {counted(events['annotated'], 'event')}, "
        f"{record['annotated_seconds']:.0f} s; {events['found']} were found, "
        f"{record['found_seconds']:.0f} s; {events['matched']} match, onsets within "
        f"{tolerance['onset']:g} s and offsets within {tolerance['offset']:g} s. Windows are "
        f"{record['window_seconds']:g} s, each called what most of it is.",
        "",
    ]
    figures = _figure_table(record["figures"], _AGREEMENT, baselines)
    return _section(heading, [*text, *figures], record)


def _subject_lines(per_subject: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say how unequal the subjects are; ``report.json`` has each."""
    clips = [units["clip"] for units in per_subject.values() if "clip" in units]
    if not clips:
        return []
    most = max(of["n"] for of in clips)
    mixed = sum(len(of["labels"]) > 1 for of in clips)
    all_right = sum(of["right"] == of["n"] for of in clips)
    return [
        "",
        f"Subjects: {len(clips)}, with at most {most} clips each; with clips of more than one "
        f"class: {mixed}; with all clips answered right: {all_right}.",
    ]


def _list_lines(heading: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    return ["", f"## {heading} ({len(texts)})", "", *(f"- {_cell(text)}" for text in texts)]


def _figure_table(
    figures: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
    baselines: Mapping[str, tuple[float, str]],
) -> list[str]:
    rows = []
    for name, shown in names.items():
        if name not in figures:
            continue
        interval = figures[name].get("interval")
        baseline = baselines.get(name)
        rows.append(
            [
                shown,
                _number(figures[name]["value"]),
                f"{_number(interval[0])} to {_number(interval[1])}" if interval else "",
                f"{_number(baseline[0])} ({baseline[1]})" if baseline else "",
            ]
        )
    return table(["figure", "value", "95 % interval", "without listening"], rows)


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Markdown, aligned: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    padded = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:])]


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _estimate(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    interval = figure.get("interval")
    ends = f" ({_number(interval[0])} to {_number(interval[1])})" if interval else ""
    return _number(figure["value"]) + ends


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"

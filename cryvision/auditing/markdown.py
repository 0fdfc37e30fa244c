"""An audit in words: what matters first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cryvision.auditing.audit import Audit
from cryvision.auditing.findings import ERROR, INFO, WARNING, Finding, interval
from cryvision.evaluation import markdown
from cryvision.inputs.ffmpeg import shown
from cryvision.outputs.wording import counted

HEADINGS: Mapping[str, str] = {
    ERROR: "Errors: correct them before you train",
    WARNING: "Warnings: they can make a model look better than it is",
    INFO: "Good to know",
}
"""Of the severities of findings, in order."""

MOST_EXAMPLES = 5
_MOST_VALUES = 6
"""A fact with more values than this is left to the page and the JSON."""


def audit_text(audit: Audit, most_examples: int = MOST_EXAMPLES) -> str:
    """Say in Markdown what an audit found, with some examples of each finding.

    There is no final newline.
    """
    lines = [f"# Audit of {shown(audit.source)}", "", summary(audit)]
    for severity, heading in HEADINGS.items():
        findings = [finding for finding in audit.findings if finding.severity == severity]
        if findings:
            lines += ["", f"## {heading}"]
            for finding in findings:
                lines += ["", *_finding(finding, most_examples)]
    lines += ["", "## Clips by label", "", *_labels(audit.counts)]
    lines += ["", "## The label without the sound", "", *_without_sound(audit.label_without_sound)]
    lines += ["", "## The device from the sound", "", *_device(audit.device_from_sound)]
    lines += ["", "## Successive clips of one subject", "", *_changes(audit.label_changes)]
    return "\n".join(lines)


def summary(audit: Audit) -> str:
    """One sentence on how much there is, and one on how many errors are among it."""
    counts = audit.counts
    n_errors = sum(finding.severity == ERROR for finding in audit.findings)
    sources = ", ".join(counts["subjects_known_from"])
    return (
        f"{counted(counts['clips'], 'clip')} of {counted(counts['subjects'], 'subject')} "
        f"(known from: {sources}), {counted(len(counts['labels']), 'label')}, "
        f"{counts['seconds'] / 60:,.1f} minutes; "
        f"{counts['unreadable']} cannot be read, {counts['left_out']} left out. "
        f"{n_errors or 'No'} {'error' if n_errors == 1 else 'errors'}, "
        f"{len(audit.findings) - n_errors} warnings and notes."
    )


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Write a table, a line each; names from the corpus are text in it."""
    texts = [[shown(str(cell)).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    return markdown.table(texts[0], texts[1:])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def not_measured(record: Mapping[str, Any]) -> str | None:
    """Why a measurement has no figures, in a sentence; None where it has."""
    return None if record["reason"] is None else f"Not measured: {record['reason']}."


def _finding(finding: Finding, most_examples: int) -> Iterator[str]:
    yield f"**{shown(finding.title)}.**"
    yield f"What to do: {finding.advice}"
    if finding.examples:
        yield ""
    yield from (f"- {shown(example)}" for example in finding.examples[:most_examples])
    if (n_more := len(finding.examples) - most_examples) > 0:
        where = "--json and --html list" if most_examples == MOST_EXAMPLES else "the JSON lists"
        yield f"- and {n_more} more ({where} all)"


def _labels(counts: Mapping[str, Any]) -> Iterator[str]:
    counts_of = {
        name: values for name, values in counts["facts"].items() if 1 < len(values) <= _MOST_VALUES
    }
    columns = [(name, value) for name, values in counts_of.items() for value in values]
    head = ["label", "clips", "share", "subjects", "minutes", *map(" ".join, columns)]
    yield from table(
        head,
        (
            [label, figures["clips"], _percent(figures["clips"] / counts["clips"]),
             figures["subjects"], f"{figures['seconds'] / 60:.1f}",
             *(counts_of[name][value].get(label, 0) for name, value in columns)]
            for label, figures in counts["labels"].items()
        ),
    )  # fmt: skip


def _without_sound(result: Mapping[str, Any]) -> Iterator[str]:
    if reason := not_measured(result):
        yield reason
        return
    yield f"Always the commonest label: accuracy {_percent(result['majority'])}, balanced"
    yield f"accuracy {result['chance']:.2f}. A tree on one fact, on held-out subjects:"
    yield ""
    keys = ("accuracy", "gain", "balanced_accuracy")
    yield from table(
        ["fact", "accuracy", "more than the majority", "balanced accuracy", "tells"],
        (
            [name, *(interval(figures[key]) for key in keys), "yes" if figures["tells"] else "no"]
            for name, figures in result["facts"].items()
        ),
    )
    if result["constant"]:
        yield ""
        yield f"The same for all clips, or not known of any: {', '.join(result['constant'])}."


def _device(device: Mapping[str, Any]) -> Iterator[str]:
    if reason := not_measured(device):
        yield reason
        return
    for name, figures in device["devices"].items():
        folds = ", ".join(f"{area:.2f}" for area in figures["fold_auc"])
        yield f"{name} against the rest: AUC {interval(figures['auc'])}; by fold {folds}."


def _changes(changes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not any(gap["pairs"] for gap in changes.values()):
        yield "Not measured: it is not known when the clips were recorded."
        return
    sizes = {name: (gap["pairs"], len(gap["changed"])) for name, gap in changes.items()}
    yield from table(
        ["time between", "pairs", "with another label", "share"],
        ([name, n, changed, _percent(changed / n) if n else ""]
         for name, (n, changed) in sizes.items()),
    )  # fmt: skip

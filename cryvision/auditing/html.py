"""An audit as one HTML page with its figures inside; it loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryvision.auditing.audit import Audit
from cryvision.auditing.figures import histogram, intervals, stacked_bars
from cryvision.auditing.markdown import audit_text, table
from cryvision.inputs.ffmpeg import shown
from cryvision.outputs.html_page import picture, report_page

KIND = "audit"
"""Of the page, as `cryvision.outputs.html_page` has it."""

_MOST_EXAMPLES = 500


def page(audit: Audit) -> str:
    """Make the page of an audit.

    Returns
    -------
    str
        HTML. Names from the corpus are text in it, whatever characters they hold.
    """
    from markdown_it import MarkdownIt

    # Without links, pictures and HTML: whatever a file is called, it stays text.
    render = MarkdownIt("zero").enable(["heading", "list", "table", "emphasis"]).render
    text = [audit_text(audit, _MOST_EXAMPLES)]
    for name, values in audit.counts["facts"].items():
        if values:
            labels = audit.counts["labels"]
            rows = ([value, *(row.get(one, 0) for one in labels)] for value, row in values.items())
            text += [f"\n## Clips by {name}\n", *table([name, *labels], rows)]
    if audit.problems:
        text += ["\n## What the reader said\n", *(f"- {shown(line)}" for line in audit.problems)]
    figures = "\n".join(picture(title, png) for title, png in _figures(audit))
    body = f"{render(chr(10).join(text))}<h2>Figures</h2>\n{figures}\n"
    return report_page(KIND, "Audit", body)


def _figures(audit: Audit) -> Iterator[tuple[str, bytes]]:
    """Titles and pictures; the text above them lists what could not be measured."""
    facts = {name: values for name, values in audit.counts["facts"].items() if len(values) > 1}
    by = "device" if "device" in facts else next(iter(facts), None)
    rows = {
        label: {shown(value): row[label] for value, row in facts[by].items() if label in row}
        if by
        else {"clips": figures["clips"]}
        for label, figures in audit.counts["labels"].items()
    }
    yield "Clips by label" + (f" and {by}" if by else ""), stacked_bars(_plain(rows))
    for title, name, unit in (
        ("Length of the clips", "duration_s", "seconds"),
        ("Level of the clips", "level_dbfs", "RMS level, dBFS"),
    ):
        yield title, histogram(audit.sound[name]["edges"], audit.sound[name]["clips"], unit)
    shortcut, device = audit.label_without_sound, audit.device_from_sound
    if shortcut["reason"] is None:
        shares = {name: figures["balanced_accuracy"] for name, figures in shortcut["facts"].items()}
        title = "Balanced accuracy of the label without the sound, subjects kept apart"
        yield title, intervals(_plain(shares), shortcut["chance"])
    if device["reason"] is None:
        areas = {name: figures["auc"] for name, figures in device["devices"].items()}
        title = f"AUC of the {device['of']} from the sound, subjects kept apart"
        yield title, intervals(_plain(areas), 0.5)
    changes = {
        name: {"the same label": gap["pairs"] - len(gap["changed"]),
               "another label": len(gap["changed"])}
        for name, gap in audit.label_changes.items()
        if gap["pairs"]
    }  # fmt: skip
    if changes:
        yield "Successive clips of one subject, by time between", stacked_bars(changes)


def _plain(rows: dict[str, Any]) -> dict[str, Any]:
    return {shown(name): value for name, value in rows.items()}

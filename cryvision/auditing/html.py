"""An audit as one HTML page with its figures inside; it loads nothing and runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cryvision.atomic import staged
from cryvision.auditing.audit import Audit
from cryvision.auditing.figures import histogram, intervals, stacked_bars
from cryvision.auditing.findings import Finding
from cryvision.auditing.markdown import HEADINGS, not_measured, percent, summary
from cryvision.errors import CryvisionError
from cryvision.inputs.ffmpeg import shown

_MARK = '<meta name="generator" content="cryvision audit">'
_MARK_BYTES = 1000
"""The mark of our pages is within so many bytes of the start."""

_MOST_EXAMPLES = 500

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 54rem; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.2rem; } h3 { font-size: 1.05rem; margin: 0 0 .3rem; }
section.finding { border-left: .35rem solid #666; padding: .2rem 0 .2rem 1rem; margin: 1.1rem 0; }
section.error { border-color: #d55e00; } section.warning { border-color: #e69f00; }
section.info { border-color: #0072b2; } section p { margin: .2rem 0; }
summary { cursor: pointer; } li, td, th { font-size: .9rem; }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .2rem .6rem; }
td { text-align: right; border-top: 1px solid #ddd; } td:first-child, th:first-child {
  text-align: left; } figure { margin: 1.2rem 0; } svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a; } figcaption { font-weight: 600; }
"""


def check_page(path: str | os.PathLike[str]) -> Path:
    """Make sure before any work that a page may be written.

    Raises
    ------
    CryvisionError
        If something else than an older page of an audit is there: that is never replaced.
    """
    target = Path(os.path.abspath(path))
    if not os.path.lexists(target):
        return target
    try:
        with open(target, "rb") as file:
            is_ours = _MARK.encode() in file.read(_MARK_BYTES)
    except OSError as error:
        raise CryvisionError(
            f"{shown(target)}: the page is a file; this cannot be read as one: {error.strerror}"
        ) from error
    if not is_ours:
        raise CryvisionError(
            f"{shown(target)}: only the page of an older audit is replaced; this is another file"
        )
    return target


def write_page(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Write the page of an audit, whole or not at all.

    Parameters
    ----------
    audit : Audit
    path : path
        Of the page; the page of an older audit is replaced.

    Raises
    ------
    CryvisionError
        As `check_page`, and if the system refuses.
    """
    target = check_page(path)
    try:
        with staged(target, overwrite=True) as place:
            place.write_text(page(audit), encoding="utf-8", newline="\n")
    except OSError as error:
        raise CryvisionError(
            f"{shown(target)}: cannot be written: {error.strerror or error}"
        ) from error


def page(audit: Audit) -> str:
    """Make the page of an audit.

    Parameters
    ----------
    audit : Audit

    Returns
    -------
    str
        HTML. Names from the corpus are text in it, whatever characters they hold.
    """
    title = _text(f"Audit of {audit.source}")
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        _MARK,
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        f"<p>{_text(summary(audit))}</p>",
        "<p>This page names your files; give it to nobody who may not know them.</p>",
    ]
    for severity, heading in HEADINGS.items():
        findings = [finding for finding in audit.findings if finding.severity == severity]
        if findings:
            lines.append(f"<h2>{heading}</h2>")
            lines += map(_finding, findings)
    lines += ["<h2>Figures</h2>", *_figures(audit)]
    lines += ["<h2>Clips by label</h2>", *_tables(audit.counts)]
    if audit.problems:
        lines.append("<h2>What the reader said</h2>")
        lines.append(_details(f"{len(audit.problems)} lines", audit.problems))
    return "\n".join([*lines, "</body>\n</html>\n"])


def _finding(finding: Finding) -> str:
    inside = [
        f"<h3>{_text(finding.title)}</h3>",
        f"<p><strong>What to do:</strong> {_text(finding.advice)}</p>",
    ]
    if finding.examples:
        inside.append(_details("Where", finding.examples))
    return f'<section class="finding {finding.severity}">\n' + "\n".join(inside) + "\n</section>"


def _details(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines[:_MOST_EXAMPLES])
    if (n_more := len(lines) - _MOST_EXAMPLES) > 0:
        items += f"<li>and {n_more} more; the JSON lists all</li>"
    return f"<details><summary>{_text(title)}</summary><ul>{items}</ul></details>"


def _figures(audit: Audit) -> Iterator[str]:
    facts = {name: values for name, values in audit.counts["facts"].items() if len(values) > 1}
    by = "device" if "device" in facts else next(iter(facts), None)
    rows = {
        label: {shown(value): row[label] for value, row in facts[by].items() if label in row}
        if by
        else {"clips": figures["clips"]}
        for label, figures in audit.counts["labels"].items()
    }
    yield _figure("Clips by label" + (f" and {by}" if by else ""), stacked_bars, _plain(rows))
    for title, name, unit in (
        ("Length of the clips", "duration_s", "seconds"),
        ("Level of the clips", "level_dbfs", "RMS level, dBFS"),
    ):
        bins = audit.sound[name]
        yield _figure(title, histogram, bins["edges"], bins["clips"], unit)
    told, device = audit.label_without_sound, audit.device_from_sound
    title = "Balanced accuracy of the label without the sound, subjects kept apart"
    shares = {name: figures["balanced_accuracy"] for name, figures in told["facts"].items()}
    yield _measured(title, told, _plain(shares), told["chance"], "chance")
    title = f"AUC of the {device['of']} from the sound, subjects kept apart"
    areas = {name: figures["auc"] for name, figures in device["devices"].items()}
    yield _measured(title, device, _plain(areas), 0.5, "chance")
    changes = {
        name: {"the same label": gap["pairs"] - len(gap["changed"]),
               "another label": len(gap["changed"])}
        for name, gap in audit.label_changes.items()
        if gap["pairs"]
    }  # fmt: skip
    if changes:
        yield _figure("Successive clips of one subject, by time between", stacked_bars, changes)


def _measured(
    title: str,
    record: Mapping[str, Any],
    rows: Mapping[str, Sequence[float]],
    reference: float,
    reference_name: str,
) -> str:
    if reason := not_measured(record):
        return f"<p>{_text(title)}. {_text(reason)}</p>"
    return _figure(title, intervals, rows, reference, reference_name)


def _figure(title: str, draw: Any, *given: Any) -> str:
    title = shown(title)
    return f"<figure><figcaption>{escape(title)}</figcaption>{draw(title, *given)}</figure>"


def _tables(counts: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [label, figures["clips"], percent(figures["clips"] / counts["clips"]),
         figures["subjects"], f"{figures['seconds'] / 60:.1f}"]
        for label, figures in counts["labels"].items()
    ]  # fmt: skip
    yield _table(["label", "clips", "share", "subjects", "minutes"], rows)
    for name, values in counts["facts"].items():
        if values:
            yield f"<h3>By {_text(name)}</h3>"
            rows = [
                [value, *(row.get(label, 0) for label in counts["labels"])]
                for value, row in values.items()
            ]
            yield _table([name, *counts["labels"]], rows)


def _table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    first = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    return escape(shown(str(value)))


def _plain(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {shown(name): value for name, value in rows.items()}

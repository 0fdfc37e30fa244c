"""An audit as one HTML page with its figures inside; it loads nothing and runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from cryvision.atomic import staged
from cryvision.auditing.audit import Audit
from cryvision.auditing.figures import histogram, intervals, stacked_bars
from cryvision.auditing.markdown import audit_text, table
from cryvision.errors import CryvisionError
from cryvision.inputs.ffmpeg import shown

_MARK = '<meta name="generator" content="cryvision audit">'
_MARK_BYTES = 1000
"""The mark of our pages is within so many bytes of the start."""

_MOST_EXAMPLES = 500

_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{_MARK}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 54rem; padding: 1.5rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.6rem; }} h2 {{ margin-top: 2.2rem; }} img {{ max-width: 100%; }}
ul {{ max-height: 12rem; overflow: auto; }} li, td, th {{ font-size: .9rem; text-align: left; }}
table {{ border-collapse: collapse; margin: .6rem 0; }}
th, td {{ padding: .2rem .6rem; border-bottom: 1px solid #ddd; }}
</style>
</head>
<body>
<p>This page names your files; give it to nobody who may not see them.</p>
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
        with staged(target, overwrite=True) as file:
            file.write_text(page(audit), encoding="utf-8", newline="\n")
    except OSError as error:
        raise CryvisionError(
            f"{shown(target)}: cannot be written: {error.strerror or error}"
        ) from error


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
    figures = "\n".join(
        f'<h3>{escape(title)}</h3>\n<img src="{picture}" alt="{escape(title)}">'
        for title, picture in _figures(audit)
    )
    return f"{_HEAD}{render(chr(10).join(text))}<h2>Figures</h2>\n{figures}\n</body>\n</html>\n"


def _figures(audit: Audit) -> Iterator[tuple[str, str]]:
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

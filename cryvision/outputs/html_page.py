"""Reports as one HTML page with its figures inside; it loads nothing and runs nothing."""

from __future__ import annotations

import base64
import os
from html import escape
from pathlib import Path

from cryvision.atomic import check_place, check_suffix, replacing
from cryvision.errors import CryvisionError
from cryvision.inputs.ffmpeg import shown
from cryvision.os_errors import os_errors

_MARK_BYTES = 1000
"""The mark of our files is within so many bytes of the start."""

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 54rem; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.2rem; } img { max-width: 100%; }
ul { max-height: 12rem; overflow: auto; } li, td, th { font-size: .9rem; text-align: left; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; }
@media print { body { max-width: none; padding: 0; font-size: 12px; }
  ul { max-height: none; } h2, img, tr { break-inside: avoid; } }
"""


def report_page(kind: str, title: str, body: str) -> str:
    """Make a page of a kind of report, as ``audit``: it is only replaced by one of its kind.

    In the body, HTML, names of files must be text.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{_mark(kind)}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<p>This page names your files; give it to nobody who may not see them.</p>
{body}</body>
</html>
"""


def check_page(kind: str, path: str | os.PathLike[str]) -> Path:
    """Make sure before any work that a page may be written: over an older one of its kind alone."""
    target = check_marked(f"page of an older {kind}", _mark(kind).encode(), path)
    check_suffix("the page", path, ".html")
    return target


def check_marked(what: str, mark: bytes, path: str | os.PathLike[str]) -> Path:
    """Make sure before any work that a file may be written; return its absolute path.

    Only a file with the mark near its start is replaced, ``what`` it is in words.
    """
    target = Path(os.path.abspath(path))
    check_place(target, shown(target))
    if not os.path.lexists(target):
        return target
    noun = what.split()[0]
    rule = f"the {noun} is a file; this cannot be read as one"
    with os_errors(f"{shown(target)}: {rule}"), open(target, "rb") as file:
        is_ours = mark in file.read(_MARK_BYTES)
    if not is_ours:
        raise CryvisionError(f"{shown(target)}: only the {what} is replaced; this is another file")
    return target


def write_report_page(kind: str, html: str, path: str | os.PathLike[str]) -> None:
    target = check_page(kind, path)
    with replacing(target, shown(target)) as file:
        file.write_text(html, encoding="utf-8", newline="\n")


def picture(title: str, png: bytes) -> str:
    """Make an image with its heading, which stands inside a page."""
    data = base64.b64encode(png).decode("ascii")
    name = escape(title)
    return f'<h3>{name}</h3>\n<img src="data:image/png;base64,{data}" alt="{name}">'


def _mark(kind: str) -> str:
    return f'<meta name="generator" content="cryvision {kind}">'

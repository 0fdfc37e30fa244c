"""How times, scores and text from outside are written, in lines and in cells."""

from __future__ import annotations

import math
import re
import textwrap

LINE_WIDTH = 96
NO_BREAK = "\N{NO-BREAK SPACE}"
"""Keeps words on one line of a `row`, where it is shown as a blank."""

_INDENT = 12

# Control characters, those that end a line, those that turn the direction of the text around, and
# bytes that could not be decoded.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What a spreadsheet takes for a formula, also in the wide forms of East Asian keyboards.
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def clock(seconds: float, *, long: bool = False, decimals: int = 1) -> str:
    """Write a time as ``m:ss.t``, or ``h:mm:ss.t`` from an hour on.

    Parameters
    ----------
    seconds : float
        Not negative.
    long : bool
        Write the hours even where there are none.
    decimals : int
        Places after the seconds.
    """
    unit = 10**decimals
    ticks = max(0, round(seconds * unit))
    minutes, ticks = divmod(ticks, 60 * unit)
    tail = f"{ticks // unit:02d}" + (f".{ticks % unit:0{decimals}d}" if decimals else "")
    if long or minutes >= 60:
        return f"{minutes // 60}:{minutes % 60:02d}:{tail}"
    return f"{minutes}:{tail}"


def length(seconds: float, decimals: int = 1) -> str:
    """Write a length of time, distinct from a point in time: 5.2 s, 8 min 14 s, 3 h 0 min 5 s."""
    if seconds < 120:
        return f"{seconds:.{decimals}f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {seconds} s"


def score(value: float | None) -> str:
    """Write a score to two places, and one that is not known as a question mark."""
    return "?" if value is None or not math.isfinite(value) else f"{value:.2f}"


def row(heading: str, text: str) -> list[str]:
    """Write a heading and its text, wrapped beside it."""
    lines = textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=f"  {heading}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )
    return [line.replace(NO_BREAK, " ") for line in lines]


def printable(text: str) -> str:
    """Make any text safe to show: odd spaces become plain ones, control characters escapes.

    Returns
    -------
    str
        One line that any UTF-8 output takes, with no control, bidi or undecodable characters.
    """
    shown = (
        char
        if char.isprintable()
        else " "
        if char.isspace() and char not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
        else _escape(char)
        for char in text
    )
    return "".join(shown)


def escaped(text: str) -> str:
    """Make any text safe in a file, changed as little as may be: a name stays what it was.

    Returns
    -------
    str
        Valid UTF-8 in one line. Control characters, those that turn the direction of the text
        around, and undecodable bytes are escapes; all else stays.
    """
    return _UNSAFE.sub(lambda match: _escape(match[0]), text)


def escaped_json(text: str) -> str:
    """Do as `escaped` in a text that is JSON, and leave it JSON."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def spreadsheet_cell(text: str) -> str:
    """Make a text safe in a cell of CSV: `escaped`, and no spreadsheet takes it for a formula.

    Parameters
    ----------
    text : str
        From outside: a path, a label, an error. Numbers need none of this, and ``-18.3`` would
        suffer.

    Returns
    -------
    str
        With an apostrophe before it where it starts as a formula does (OWASP, "CSV Injection").
    """
    return ("'" if text.startswith(_FORMULA_STARTS) else "") + escaped(text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

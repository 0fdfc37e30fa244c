"""How times, scores and text from outside are written, in lines."""

from __future__ import annotations

import math
import textwrap

from cryvision.safe_text import escape

LINE_WIDTH = 96
NO_BREAK = "\N{NO-BREAK SPACE}"
"""Keeps words on one line of a `row`, where it is shown as a blank."""

_INDENT = 12


def clock(seconds: float, *, long: bool = False, decimals: int = 1) -> str:
    """Write a time, not negative, as ``m:ss.t``; ``h:mm:ss.t`` over an hour or if ``long``."""
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


def counted(n: int, noun: str) -> str:
    """Write a number with its noun: ``1 subject``, ``1,200 subjects``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def score(value: float | None) -> str:
    """Write a score to two places, and one that is not known as a question mark."""
    return "?" if value is None or not math.isfinite(value) else f"{value:.2f}"


def rounded(value: float | None, decimals: int) -> float | None:
    """Round a number; None where there is none, or it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0  # no "-0.0"


def row(heading: str, text: str) -> list[str]:
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

    The line has no control, bidi or undecodable characters, and any UTF-8 output takes it.
    """
    shown = (
        char
        if char.isprintable()
        else " "
        if char.isspace() and char not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
        else escape(char)
        for char in text
    )
    return "".join(shown)

"""Figures of an audit as SVG text, to stand inside a page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

# Okabe & Ito's colours, told apart by colour-blind readers: https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#666666")

_WIDTH = 720
_LABEL_WIDTH = 190
_NUMBER_WIDTH = 60
_ROW = 26
_BAR = 16
_LONGEST = 26
_GREY, _PALE = "#555555", "#dddddd"


def stacked_bars(title: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """Draw a bar for each row, cut into its parts, with a legend.

    Parameters
    ----------
    title : str
        Read aloud to those who cannot see the figure.
    rows : mapping of str to mapping of str to int
        By row and part, how many.

    Returns
    -------
    str
        An ``svg`` element.
    """
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    colour = {part: COLOURS[min(i, len(COLOURS) - 1)] for i, part in enumerate(parts)}
    largest = max((sum(row.values()) for row in rows.values()), default=0) or 1
    scale = (_WIDTH - _LABEL_WIDTH - _NUMBER_WIDTH) / largest
    drawn = []
    x = float(_LABEL_WIDTH)
    for part in parts if len(parts) > 1 else ():
        drawn.append(_rect(x, 4, 12, 12, colour[part]))
        drawn.append(_words(x + 16, 14, part))
        x += 34 + 7.2 * len(_shown(part))
    width = max(x, _WIDTH)
    top = 28 if len(parts) > 1 else 4
    for place, (name, row) in enumerate(rows.items()):
        y = top + place * _ROW
        drawn.append(_words(_LABEL_WIDTH - 8, y + 13, name, "end"))
        x = float(_LABEL_WIDTH)
        for part, number in row.items():
            tip = f"{name}, {part}: {number}" if len(parts) > 1 else f"{name}: {number}"
            drawn.append(_rect(x, y, number * scale, _BAR, colour[part], tip))
            x += number * scale
        drawn.append(_words(x + 6, y + 13, f"{sum(row.values()):,}"))
    return _svg(title, width, top + len(rows) * _ROW + 4, drawn)


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], unit: str) -> str:
    """Draw how many clips lie in each bin.

    Parameters
    ----------
    title : str
    edges : sequence of float, length n + 1
    counts : sequence of int, length n
    unit : str
        Written below the axis.

    Returns
    -------
    str
        An ``svg`` element.
    """
    height, left = 150, 50
    width = (_WIDTH - left - 20) / len(counts)
    largest = max(counts) or 1
    drawn = [_words(left - 6, 16, f"{largest:,}", "end"), _words(left - 6, height, "0", "end")]
    drawn.append(_line(left, height, _WIDTH - 20, height, _GREY))
    for place, number in enumerate(counts):
        tall = number / largest * (height - 10)
        tip = f"{edges[place]:.3g} to {edges[place + 1]:.3g} {unit}: {number}"
        drawn.append(
            _rect(left + place * width, height - tall, max(width - 1, 0.5), tall, COLOURS[0], tip)
        )
    for place in range(0, len(edges), max(1, len(edges) // 6)):
        drawn.append(_words(left + place * width, height + 16, f"{edges[place]:.3g}", "middle"))
    drawn.append(_words(left + (_WIDTH - left) / 2, height + 34, unit, "middle"))
    return _svg(title, _WIDTH, height + 42, drawn)


def intervals(
    title: str, rows: Mapping[str, Sequence[float]], reference: float, reference_name: str
) -> str:
    """Draw shares with their intervals, from 0 to 1, against a line of reference.

    Parameters
    ----------
    title : str
    rows : mapping of str to (value, low, high)
        A row of three equal numbers is a point.
    reference : float
        Where the line stands.
    reference_name : str

    Returns
    -------
    str
        An ``svg`` element.
    """
    span = _WIDTH - _LABEL_WIDTH - _NUMBER_WIDTH
    bottom = 24 + len(rows) * _ROW

    def place(share: float) -> float:
        return _LABEL_WIDTH + span * min(max(share, 0.0), 1.0)

    drawn = [_words(place(reference), 12, reference_name, "middle")]
    drawn.append(_line(place(reference), 18, place(reference), bottom, COLOURS[5], "4 3"))
    for row, (name, (value, low, high)) in enumerate(rows.items()):
        y = 32 + row * _ROW
        drawn.append(_words(_LABEL_WIDTH - 8, y + 4, name, "end"))
        drawn.append(_line(place(low), y, place(high), y, COLOURS[0], width=2))
        tip = f"{name}: {value:.2f} [{low:.2f}, {high:.2f}]"
        drawn.append(
            f'<circle cx="{place(value):.1f}" cy="{y}" r="5" fill="{COLOURS[0]}">'
            f"<title>{escape(tip)}</title></circle>"
        )
        drawn.append(_words(_LABEL_WIDTH + span + 8, y + 4, f"{value:.2f}"))
    drawn.append(_line(place(0), bottom, place(1), bottom, _GREY))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(_words(place(share), bottom + 16, f"{share:g}", "middle"))
    return _svg(title, _WIDTH, bottom + 24, drawn)


def _svg(title: str, width: float, height: float, drawn: Sequence[str]) -> str:
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(drawn)}</svg>"
    )


def _rect(x: float, y: float, width: float, height: float, colour: str, tip: str = "") -> str:
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}">{inside}</rect>'
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "", width: int = 1
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def _words(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(_shown(text))}</text>'


def _shown(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[1 - half :]}"

"""An agreement as text, as a figure of where two differ, and as a page to print."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.evaluation.agreement import CodedClip
from cryvision.evaluation.figures import BLUE, GREY, ORANGE, grid, png_bytes
from cryvision.inputs.ffmpeg import shown
from cryvision.outputs.html_page import picture, report_page
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.wording import clock

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "agreement"
"""Of the page, as `cryvision.outputs.html_page` has it."""

FIGURES = {
    "event_f1": "F1 of events whose onsets are within {onset:g} s and offsets within {offset:g} s",
    "event_precision": "of the events of B, share that A has",
    "event_recall": "of the events of A, share that B has",
    "intersection_f1": "F1 of events of which {overlap} % overlap",
    "kappa": "Cohen's kappa of every moment",
    "iou": "seconds in both over seconds in either",
    "psds1": "PSDS, exact times (overlap 70 %)",
    "psds2": "PSDS, presence (overlap 10 %)",
    "alarms_per_hour": "events of B an hour that overlap none of A",
    "missed_per_hour": "events of A an hour that overlap none of B",
}
"""What each figure is; B is compared with A."""

_MOST_CLIPS = 12
_WINDOW_SECONDS = 600.0
_LONGEST_NAME = 60
_WIDTH_INCHES, _CLIP_INCHES = 8.0, 0.95


def agreement_text(record: dict[str, Any]) -> str:
    """Write an agreement for people, a figure a line."""
    events = record["events"]
    lines = [
        f"{record['n_clips']} recordings of {record['n_subjects']} subjects, "
        f"{record['hours']:.2f} h",
        f"A: {events['first']} events, {record['first_seconds']:.1f} s of crying",
        f"B: {events['second']} events, {record['second_seconds']:.1f} s of crying",
        *(f"{name:<16} {value:<26} {what}" for name, value, what in figure_rows(record)),
    ]
    for name, values in _errors(record):
        lines.append(f"{name} of B less A, {record['n_pairs']} pairs: {values}")
    return "\n".join(lines)


def figure_rows(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Give name, value with its interval (a dash for none), and meaning of each figure."""
    words = {**record["tolerance_s"], "overlap": f"{100 * record['overlap']:g}"}
    rows = []
    for name, meaning in FIGURES.items():
        figure = record["figures"].get(name)
        if figure is not None:
            low_high = figure.get("interval")
            interval = f" ({low_high[0]:.2f} to {low_high[1]:.2f})" if low_high else ""
            value = "-" if figure["value"] is None else f"{figure['value']:.2f}{interval}"
            rows.append((name, value, meaning.format(**words)))
    return rows


def agreement_page(
    record: dict[str, Any], clips: Sequence[CodedClip], sources: Sequence[str]
) -> str:
    """Make a page that can be printed.

    Parameters
    ----------
    record : dict
        From `cryvision.evaluation.agreement.measure_agreement`, with ``notes``, ``warnings`` and
        ``problems``.
    clips : sequence of CodedClip
    sources : sequence of str
        What A and B are.
    """
    events = record["events"]
    first, second = (escape(shown(source)) for source in sources)
    parts = [
        "<h1>Agreement</h1>",
        f"<p>A is {first}, B is {second}. {record['n_clips']} recordings of "
        f"{record['n_subjects']} subjects, {record['hours']:.2f} h. A has {events['first']} events "
        f"({record['first_seconds']:.1f} s of crying), B has {events['second']} "
        f"({record['second_seconds']:.1f} s).</p>",
        *(f"<p>{escape(shown(line))}</p>" for line in (*record["warnings"], *record["notes"])),
        _table(
            ("figure", "value (95 % interval over subjects)", "what it is"), figure_rows(record)
        ),
        "<h2>Errors in time</h2>",
        f"<p>{record['n_pairs']} pairs of events that overlap; B less A.</p>",
        _table(("time", "distribution"), _errors(record)),
        "<h2>Where they differ</h2>",
        picture("A above, B below; orange: A alone, blue: B alone", png_bytes(draw(clips))),
        _table(
            ("recording", "subject", "A alone, s", "B alone, s", "both, s", "length, s"),
            [
                (
                    shown(clip["name"]),
                    shown(clip["subject"]),
                    *(
                        f"{clip[key]:.1f}"
                        for key in ("first_only_s", "second_only_s", "both_s", "duration_s")
                    ),
                )
                for clip in record["clips"]
            ],
        ),
        *(f"<p>{escape(shown(line))}</p>" for line in record["problems"]),
    ]
    return report_page(KIND, "Agreement", "\n".join(parts) + "\n")


def draw(clips: Sequence[CodedClip]) -> Figure:
    """Draw the clips with most disagreement; of a long one, the ten minutes with most of it."""
    ranked = sorted(clips, key=lambda clip: -_difference_s(clip, 0.0, clip.duration_s))
    shown_clips = ranked[:_MOST_CLIPS]
    size = (_WIDTH_INCHES, _CLIP_INCHES * len(shown_clips) + 0.5)
    figure, axes = grid(len(shown_clips), 1, size)
    for ax, clip in zip(axes[:, 0], shown_clips, strict=True):
        start_s, end_s = _window(clip)
        lanes = ((clip.first, clip.second, 1, ORANGE), (clip.second, clip.first, 0, BLUE))
        for events, others, lane, colour in lanes:
            for part, shade in ((_common(events, others), GREY), (_alone(events, others), colour)):
                spans = [(a, b - a) for a, b in part if b > start_s and a < end_s]
                ax.broken_barh(spans, (lane + 0.1, 0.8), color=shade, linewidth=0)
        ax.set(xlim=(start_s, end_s), ylim=(0, 2), yticks=(0.5, 1.5), yticklabels=("B", "A"))
        ax.tick_params(labelsize=7, length=2)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: clock(max(0.0, value), decimals=0))
        title = ax.set_title(" ", fontsize=8, loc="left")
        set_plain(title, shortened(clip.name, _LONGEST_NAME))
    return figure


def _errors(record: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name in ("onset", "offset"):
        errors = record[f"{name}_error_s"]
        if errors is not None:
            low_high = errors["median_interval"]
            interval = f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else ""
            text = (
                f"median {errors['median']:+.3f} s{interval}, middle half "
                f"{errors['p25']:+.3f} to {errors['p75']:+.3f}, 90 % {errors['p5']:+.3f} to "
                f"{errors['p95']:+.3f}, mean of the sizes {errors['mean_absolute']:.3f}"
            )
            rows.append((name, text))
    return rows


def _window(clip: CodedClip) -> tuple[float, float]:
    if clip.duration_s <= _WINDOW_SECONDS:
        return 0.0, clip.duration_s
    starts = np.arange(0.0, clip.duration_s - _WINDOW_SECONDS / 2, _WINDOW_SECONDS / 2)
    best = max(starts, key=lambda start: _difference_s(clip, start, start + _WINDOW_SECONDS))
    return float(best), float(min(best + _WINDOW_SECONDS, clip.duration_s))


def _difference_s(clip: CodedClip, start_s: float, end_s: float) -> float:
    """Seconds between two times in which one of the two has crying and the other has none."""
    parts = (_alone(clip.first, clip.second), _alone(clip.second, clip.first))
    return sum(max(0.0, min(b, end_s) - max(a, start_s)) for part in parts for a, b in part)


def _common(events: np.ndarray, others: np.ndarray) -> list[tuple[float, float]]:
    """Stretches of some events that lie in others."""
    return _stretches(events, others, inside=True)


def _alone(events: np.ndarray, others: np.ndarray) -> list[tuple[float, float]]:
    """Stretches of some events that lie outside of others."""
    return _stretches(events, others, inside=False)


def _stretches(events: np.ndarray, others: np.ndarray, inside: bool) -> list[tuple[float, float]]:
    edges = others.ravel()
    found = []
    for start_s, end_s in events.tolist():
        within = edges[(edges > start_s) & (edges < end_s)].tolist()
        cuts = [start_s, *within, end_s]
        for left, right in itertools.pairwise(cuts):
            middle = (left + right) / 2
            is_inside = np.searchsorted(edges, middle, side="right") % 2 == 1
            if is_inside == inside and right > left:
                found.append((left, right))
    return found


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}</table>"

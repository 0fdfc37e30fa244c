"""Events as labels for annotation editors and players: Audacity, WebVTT, Praat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryvision.errors import MissingDependencyError
from cryvision.result import Classification, Event

TIER_NAME = "cry"

# A TextGrid must have a length, even where the clip has none.
_SHORTEST_SECONDS = 0.001
# To 0.1 ms: finer, praatio writes 1e-05, a form that it does not read.
_TEXTGRID_DECIMALS = 4


def write_audacity(classification: Classification, path: Path) -> None:
    """Write an Audacity label track: onset, offset and label, separated by tabs.

    Parameters
    ----------
    classification : Classification
    path : Path
    """
    lines = (
        f"{event.onset_s:.6f}\t{event.offset_s:.6f}\t{_one_line(event.label)}\n"
        for event in classification.events
    )
    _write_text(path, "".join(lines))


def write_vtt(classification: Classification, path: Path) -> None:
    """Write WebVTT cues: each event's label and confidence, to show over the video.

    Parameters
    ----------
    classification : Classification
    path : Path
    """
    blocks = ["WEBVTT"]
    for event in classification.events:
        onset_ms = max(0, round(event.onset_s * 1000))
        offset_ms = max(round(event.offset_s * 1000), onset_ms + 1)  # a cue must have a length
        text = f"{_one_line(event.label)} {event.confidence:.2f}"
        for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(char, entity)
        blocks.append(f"{_vtt_time(onset_ms)} --> {_vtt_time(offset_ms)}\n{text}")
    _write_text(path, "\n\n".join(blocks) + "\n")


def write_textgrid(classification: Classification, path: Path) -> None:
    """Write a Praat TextGrid with one interval tier that spans the clip without gaps.

    Parameters
    ----------
    classification : Classification
    path : Path

    Raises
    ------
    MissingDependencyError
        If praatio is not installed.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise MissingDependencyError(
            "the format textgrid needs praatio, which is not installed: pip install praatio"
        ) from error
    end_s = max(round(float(classification.duration_s), _TEXTGRID_DECIMALS), _SHORTEST_SECONDS)
    tier = textgrid.IntervalTier(TIER_NAME, _intervals(classification.events, end_s), 0.0, end_s)
    grid = textgrid.Textgrid(0.0, end_s)
    grid.addTier(tier)
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def _intervals(events: Sequence[Event], end_s: float) -> list[tuple[float, float, str]]:
    """Events inside the clip, in order and without overlap; those left without length are gone."""
    intervals = []
    free_from_s = 0.0
    for event in sorted(events, key=lambda event: event.onset_s):
        onset_s = max(round(float(event.onset_s), _TEXTGRID_DECIMALS), free_from_s)
        offset_s = min(round(float(event.offset_s), _TEXTGRID_DECIMALS), end_s)
        if onset_s < offset_s:
            intervals.append((onset_s, offset_s, _one_line(event.label)))
            free_from_s = offset_s
    return intervals


def _vtt_time(total_ms: int) -> str:
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def _one_line(label: str) -> str:
    """The label as valid UTF-8 without tabs and line ends, which these formats separate by."""
    return " ".join(label.split()).encode("utf-8", "backslashreplace").decode()


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)

"""Events as labels for annotation editors and players: Audacity, WebVTT, SRT, RTTM, Praat, ELAN."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePath

from cryvision.errors import MissingDependencyError
from cryvision.result import Classification, Event

TIER_NAME = "cry"

# A TextGrid must have a length, even where the clip has none.
_SHORTEST_SECONDS = 0.001
# To 0.1 ms: finer, praatio writes 1e-05, a form that it does not read.
_TEXTGRID_DECIMALS = 4
# ELAN keeps whole milliseconds.
_EAF_DECIMALS = 3
# Marks that players take for markup; SRT has no way to escape them.
_SRT_MARKUP = str.maketrans("<>{}", "\u2039\u203a()")


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
    for onset_ms, offset_ms, text in _cues(classification.events):
        for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(char, entity)
        blocks.append(f"{_clock(onset_ms, '.')} --> {_clock(offset_ms, '.')}\n{text}")
    _write_text(path, "\n\n".join(blocks) + "\n")


def write_srt(classification: Classification, path: Path) -> None:
    """Write SubRip subtitles: the cues of `write_vtt`, for players that read no WebVTT.

    Parameters
    ----------
    classification : Classification
    path : Path
    """
    blocks = [
        f"{number}\n{_clock(onset_ms, ',')} --> {_clock(offset_ms, ',')}\n"
        f"{text.translate(_SRT_MARKUP)}\n"
        for number, (onset_ms, offset_ms, text) in enumerate(_cues(classification.events), start=1)
    ]
    _write_text(path, "\n".join(blocks))


def write_rttm(classification: Classification, path: Path) -> None:
    """Write Rich Transcription Time Marks, for tools for diarization and for daylong recordings.

    Each event is a ``SPEAKER`` line: the clip's name without its suffix, channel 1, onset and
    length in seconds, the label as the speaker's name, and the confidence (NIST, "The 2009 Rich
    Transcription Meeting Recognition Evaluation Plan", appendix A). Fields are separated by blanks,
    so that those in names become ``_``.

    Parameters
    ----------
    classification : Classification
    path : Path
    """
    clip = _one_line(PurePath(classification.path).stem).replace(" ", "_") or "live"
    lines = []
    for event in classification.events:
        onset_ms = max(0, round(event.onset_s * 1000))
        length_ms = round(event.offset_s * 1000) - onset_ms
        if length_ms > 0:
            label = _one_line(event.label).replace(" ", "_") or TIER_NAME
            times = f"{onset_ms / 1000:.3f} {length_ms / 1000:.3f}"
            confidence = f"{event.confidence:.4f}"
            lines.append(f"SPEAKER {clip} 1 {times} <NA> <NA> {label} {confidence} <NA>\n")
    _write_text(path, "".join(lines))


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


def write_eaf(classification: Classification, path: Path) -> None:
    """Write an ELAN annotation file (EAF 2.8) with one tier, linked to the clip on this machine.

    Parameters
    ----------
    classification : Classification
    path : Path

    Raises
    ------
    MissingDependencyError
        If pympi-ling is not installed.
    """
    try:
        from pympi import Eaf
    except ImportError as error:
        raise MissingDependencyError(
            "the format eaf needs pympi-ling, which is not installed: pip install pympi-ling"
        ) from error
    eaf = Eaf(author="cryvision")
    # pympi writes the offset of a half-hour time zone in a form that is no XML date.
    eaf.adocument["DATE"] = datetime.now().astimezone().isoformat(timespec="seconds")
    eaf.remove_tier("default")
    eaf.add_tier(TIER_NAME)
    clip = classification.path
    if clip and "://" not in clip:
        kind = mimetypes.guess_type(clip)[0] or "unknown"
        eaf.add_linked_file(Path(clip).absolute().as_uri(), mimetype=kind)
    end_s = max(round(float(classification.duration_s), _EAF_DECIMALS), _SHORTEST_SECONDS)
    for onset_s, offset_s, label in _intervals(classification.events, end_s, _EAF_DECIMALS):
        # XML has no form for control characters, not even an escaped one.
        text = "".join(c if c.isprintable() else "?" for c in label)
        eaf.add_annotation(TIER_NAME, round(onset_s * 1000), round(offset_s * 1000), text)
    eaf.to_file(str(path))


def _intervals(
    events: Sequence[Event], end_s: float, decimals: int = _TEXTGRID_DECIMALS
) -> list[tuple[float, float, str]]:
    """Events inside the clip, in order and without overlap; those left without length are gone."""
    intervals = []
    free_from_s = 0.0
    for event in sorted(events, key=lambda event: event.onset_s):
        onset_s = max(round(float(event.onset_s), decimals), free_from_s)
        offset_s = min(round(float(event.offset_s), decimals), end_s)
        if onset_s < offset_s:
            intervals.append((onset_s, offset_s, _one_line(event.label)))
            free_from_s = offset_s
    return intervals


def _cues(events: Sequence[Event]) -> Iterator[tuple[int, int, str]]:
    """Onset, offset in ms and text of what is shown over the video; a cue must have a length."""
    for event in events:
        onset_ms = max(0, round(event.onset_s * 1000))
        offset_ms = max(round(event.offset_s * 1000), onset_ms + 1)
        yield onset_ms, offset_ms, f"{_one_line(event.label)} {event.confidence:.2f}"


def _clock(total_ms: int, point: str) -> str:
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"


def _one_line(label: str) -> str:
    """The label as valid UTF-8 without tabs and line ends, which these formats separate by."""
    return " ".join(label.split()).encode("utf-8", "backslashreplace").decode()


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)

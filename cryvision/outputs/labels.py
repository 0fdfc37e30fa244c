"""Events and bouts as labels for annotation editors (Audacity, Praat, ELAN) and for players."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path, PurePath

from cryvision.outputs.shown import bouts_with_events, common_label
from cryvision.outputs.wording import escaped
from cryvision.result import Bout, Classification, Event

TIER_NAME = "cry"
BOUT_TIER_NAME = "bouts"
BOUT_LABEL = "bout"
"""Not that of its events: a bout holds pauses, and must not be read back as crying."""

# A TextGrid must have a length, even where the clip has none.
_SHORTEST_SECONDS = 0.001
# To 0.1 ms: finer, praatio writes 1e-05, a form that it does not read.
_TEXTGRID_DECIMALS = 4
# ELAN keeps whole milliseconds.
_EAF_DECIMALS = 3
# Marks that players take for markup; SRT has no way to escape them.
_SRT_MARKUP = str.maketrans("<>{}", "\u2039\u203a()")


def write_audacity(classification: Classification, path: Path) -> None:
    """Write an Audacity label track: onset, offset and label, separated by tabs."""
    _write_track(path, [(event, event.label) for event in classification.events])


def write_audacity_bouts(classification: Classification, path: Path) -> None:
    """Write the bouts as an Audacity label track of their own."""
    _write_track(path, [(bout, BOUT_LABEL) for bout in classification.bouts])


def _write_track(path: Path, labelled: Iterable[tuple[Event | Bout, str]]) -> None:
    lines = (
        "\t".join([*(f"{time_s:.6f}" for time_s in span.span_s), f"{_one_line(label)}\n"])
        for span, label in labelled
    )
    _write_text(path, "".join(lines))


def write_vtt(classification: Classification, path: Path) -> None:
    """Write WebVTT cues: each bout's label and confidence, to show over the video.

    Bouts, as single cries come and go faster than anybody reads.
    """
    blocks = ["WEBVTT"]
    for onset_ms, offset_ms, text in _cues(classification):
        for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(char, entity)
        blocks.append(f"{_clock(onset_ms, '.')} --> {_clock(offset_ms, '.')}\n{text}")
    _write_text(path, "\n\n".join(blocks) + "\n")


def write_srt(classification: Classification, path: Path) -> None:
    """Write SubRip subtitles: the cues of `write_vtt`, for players that read no WebVTT."""
    blocks = [
        f"{number}\n{_clock(onset_ms, ',')} --> {_clock(offset_ms, ',')}\n"
        f"{text.translate(_SRT_MARKUP)}\n"
        for number, (onset_ms, offset_ms, text) in enumerate(_cues(classification), start=1)
    ]
    _write_text(path, "\n".join(blocks))


def write_rttm(classification: Classification, path: Path) -> None:
    """Write Rich Transcription Time Marks, for tools for diarization and for daylong recordings.

    Each event is a ``SPEAKER`` line: the clip's name without its suffix, channel 1, onset and
    length in seconds, the label as the speaker's name, and the confidence (NIST, "The 2009 Rich
    Transcription Meeting Recognition Evaluation Plan", appendix A). Fields are separated by blanks,
    so that those in names become ``_``.
    """
    clip = _one_line(PurePath(classification.path).stem).replace(" ", "_") or "live"
    lines = []
    for event in classification.events:
        onset_s, offset_s = event.span_s
        onset_ms = max(0, round(onset_s * 1000))
        length_ms = round(offset_s * 1000) - onset_ms
        if length_ms > 0:
            label = _one_line(event.label).replace(" ", "_") or TIER_NAME
            times = f"{onset_ms / 1000:.3f} {length_ms / 1000:.3f}"
            confidence = f"{event.confidence:.4f}"
            lines.append(f"SPEAKER {clip} 1 {times} <NA> <NA> {label} {confidence} <NA>\n")
    _write_text(path, "".join(lines))


def write_textgrid(classification: Classification, path: Path) -> None:
    """Write a Praat TextGrid: a tier of events and one of bouts, both without gaps."""
    from praatio import textgrid

    end_s = max(round(float(classification.duration_s), _TEXTGRID_DECIMALS), _SHORTEST_SECONDS)
    grid = textgrid.Textgrid(0.0, end_s)
    for name, labelled in _tiers(classification).items():
        intervals = _intervals(labelled, end_s)
        grid.addTier(textgrid.IntervalTier(name, intervals, 0.0, end_s))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def write_eaf(classification: Classification, path: Path) -> None:
    """Write an ELAN annotation file (EAF 2.8), linked to the clip on this machine.

    One tier holds the events, another one the bouts.
    """
    from pympi import Eaf

    eaf = Eaf(author="cryvision")
    # pympi writes the offset of a half-hour time zone in a form that is no XML date.
    eaf.adocument["DATE"] = datetime.now().astimezone().isoformat(timespec="seconds")
    eaf.remove_tier("default")
    clip = classification.path
    if clip and "://" not in clip:
        kind = mimetypes.guess_type(clip)[0] or "unknown"
        eaf.add_linked_file(Path(clip).absolute().as_uri(), mimetype=kind)
    end_s = max(round(float(classification.duration_s), _EAF_DECIMALS), _SHORTEST_SECONDS)
    for name, labelled in _tiers(classification).items():
        eaf.add_tier(name)
        for onset_s, offset_s, label in _intervals(labelled, end_s, _EAF_DECIMALS):
            eaf.add_annotation(name, round(onset_s * 1000), round(offset_s * 1000), label)
    eaf.to_file(str(path))


def _tiers(classification: Classification) -> dict[str, list[tuple[Event | Bout, str]]]:
    return {
        TIER_NAME: [(event, event.label) for event in classification.events],
        BOUT_TIER_NAME: [(bout, BOUT_LABEL) for bout in classification.bouts],
    }


def _intervals(
    labelled: Iterable[tuple[Event | Bout, str]],
    end_s: float,
    decimals: int = _TEXTGRID_DECIMALS,
) -> list[tuple[float, float, str]]:
    """Spans inside the clip, in order and without overlap; those left without length are gone."""
    intervals = []
    free_from_s = 0.0
    for span, label in sorted(labelled, key=lambda item: item[0].onset_s):
        onset_s = max(round(float(span.onset_s), decimals), free_from_s)
        offset_s = min(round(float(span.span_s[1]), decimals), end_s)
        if onset_s < offset_s:
            intervals.append((onset_s, offset_s, _one_line(label)))
            free_from_s = offset_s
    return intervals


def _cues(classification: Classification) -> Iterator[tuple[int, int, str]]:
    """Onset, offset in ms and text of what is shown over the video; a cue must have a length."""
    for bout, events in bouts_with_events(classification):
        onset_ms = max(0, round(bout.onset_s * 1000))
        offset_ms = max(round(bout.offset_s * 1000), onset_ms + 1)
        yield onset_ms, offset_ms, f"{_one_line(common_label(events))} {bout.confidence:.2f}"


def _clock(total_ms: int, point: str) -> str:
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"


def _one_line(label: str) -> str:
    """The label as valid UTF-8 without tabs and line ends, which these formats separate by.

    Control characters are escapes, as XML has no form for them, and so are those that turn the
    direction of the text around.
    """
    return escaped(" ".join(label.split()))


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)

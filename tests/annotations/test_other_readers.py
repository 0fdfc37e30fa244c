"""What is written is read by programs that are not ours, with the same times."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from cryvision.annotations import FORMATS, Interval, write_annotations

Times = list[tuple[float, float, str]]

INTERVALS = [
    Interval(0.25, 1.5, "cry", "CHI"),
    Interval(1.5, 2.125, "fuss", "CHI"),
    Interval(3600.5, 3601.75, "cry", "CHI"),
]
WANTED = [(i.start_s, i.end_s, i.label) for i in INTERVALS]

FLOAT_ERROR_S = 1e-6
"""pyannote adds a length to an onset."""


def _elan(path: Path) -> Times:
    from pympi import Eaf

    found = Eaf(str(path)).get_annotation_data_for_tier("CHI")
    return [(start / 1000, end / 1000, label) for start, end, label, *_ in sorted(found)]


def _praat(path: Path) -> Times:
    parselmouth = pytest.importorskip("parselmouth")
    call = parselmouth.praat.call
    grid = parselmouth.read(str(path))
    entries = [
        tuple(call(grid, f"Get {what}", 1, i + 1) for what in _PRAAT_QUERIES)
        for i in range(call(grid, "Get number of intervals", 1))
    ]
    return [entry for entry in entries if entry[2]]


_PRAAT_QUERIES = (
    "start time of interval",
    "end time of interval",
    "label of interval",
)


def _pyannote(path: Path) -> Times:
    database = pytest.importorskip("pyannote.database.util")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own use of pandas
        (turns,) = database.load_rttm(str(path)).values()
    return [(t.start, t.end, label) for t, _, label in turns.itertracks(yield_label=True)]


def _subtitles(path: Path) -> Times:
    import pysubs2

    return [(s.start / 1000, s.end / 1000, s.plaintext) for s in pysubs2.load(str(path))]


def _talkbank(path: Path) -> Times:
    pylangacq = pytest.importorskip("pylangacq")
    lines = pylangacq.read_chat(str(path)).utterances()
    return [
        (*(ms / 1000 for ms in line.time_marks), line.tiers["CHI"].split("! ")[1].split("]")[0])
        for line in lines
    ]


def _pandas(start: str, end: str, label: str, per_second: int = 1) -> Callable[[Path], Times]:
    def read(path: Path) -> Times:
        pandas = pytest.importorskip("pandas")
        table = pandas.read_csv(path, sep="\t" if path.suffix in (".tsv", ".txt") else ",")
        times = table[[start, end]] / per_second
        return list(zip(times[start], times[end], table[label], strict=True))

    return read


def _label_studio(path: Path) -> Times:
    (task,) = json.loads(path.read_text())
    values = [region["value"] for region in task["annotations"][0]["result"]]
    return [(value["start"], value["end"], *value["labels"]) for value in values]


def _audacity(path: Path) -> Times:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [(float(start), float(end), label) for start, end, label in rows]


READERS = {
    "eaf": _elan,
    "textgrid": _praat,
    "rttm": _pyannote,
    "vtt": _subtitles,
    "srt": _subtitles,
    "chat": _talkbank,
    "csv": _pandas("onset_s", "offset_s", "label"),
    "raven": _pandas("Begin Time (s)", "End Time (s)", "Annotation"),
    "boris": _pandas("Start (s)", "Stop (s)", "Behavior"),
    "childproject": _pandas("segment_onset", "segment_offset", "label", 1000),
    "audioset": _pandas("start_time_seconds", "end_time_seconds", "label"),
    "dcase": _pandas("onset", "offset", "event_label"),
    "label-studio": _label_studio,
    "audacity": _audacity,
}


@pytest.mark.parametrize("form", [name for name, one in FORMATS.items() if one.write])
def test_another_program_reads_the_same_times(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"night{FORMATS[form].suffixes[0]}"
    write_annotations(INTERVALS, path, form, media="night.wav", duration_s=7200.0)
    found = READERS[form](path)
    times = [time_s for entry in found for time_s in entry[:2]]
    assert times == pytest.approx(
        [time_s for entry in WANTED for time_s in entry[:2]], abs=FLOAT_ERROR_S
    )
    words = {"cry": "/t/dd00002"} if form == "audioset" else {}
    assert [label for *_, label in found] == [words.get(label, label) for *_, label in WANTED]


def test_crying_is_that_of_the_key_child_in_childproject(tmp_path: Path) -> None:
    path = tmp_path / "a.childproject.csv"
    write_annotations(INTERVALS, path, "childproject")
    rows = [line.split(",")[2:4] for line in path.read_text().splitlines()]
    assert rows[1:] == [["CHI", "Y"], ["NA", "NA"], ["CHI", "Y"]]

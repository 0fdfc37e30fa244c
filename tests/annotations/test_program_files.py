"""Files as the programs and corpora themselves write them are read as they mean them."""

# ruff: noqa: E501 - a row of a table is a line

from __future__ import annotations

from pathlib import Path

import pytest
from label_files import assert_refused, write

from cryvision.annotations import Interval, format_of, read_annotations, read_recordings
from cryvision.errors import AnnotationError

RAVEN = """Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation
1\tWaveform 1\t1\t0.500000000\t1.250000000\t300.0\t3000.0\tcry
1\tSpectrogram 1\t1\t0.500000000\t1.250000000\t300.0\t3000.0\tcry
2\tSpectrogram 1\t1\t2.000000000\t3.500000000\t300.0\t3000.0\tfuss
"""
BIRDNET = """Selection\tView\tChannel\tBegin File\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies Code\tCommon Name\tConfidence
1\tSpectrogram 1\t1\ta.wav\t0.5\t1.25\t0\t8000\tcry\tcry\t0.91
2\tSpectrogram 1\t1\ta.wav\t2.0\t3.5\t0\t8000\tfuss\tfuss\t0.4
"""
BORIS_HEAD = "Observation id\tObservation date\tObservation type\tSubject\tBehavior"
BORIS = f"""{BORIS_HEAD}\tBehavioral category\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\tMedia file name
o1\t2026-01-01 10:00:00\tMedia file\tbaby\tcry\t\tSTATE\t0.5\t1.25\t0.75\tv/a.mp4
o1\t2026-01-01 10:00:00\tMedia file\tbaby\tfuss\t\tSTATE\t2.0\t3.5\t1.5\tv/a.mp4
"""
BORIS_EVENTS = f"""{BORIS_HEAD}\tBehavior type\tTime\tMedia file name
o1\t2026-01-01\tMedia file\tbaby\tcry\tSTART\t0.5\tv/a.mp4
o1\t2026-01-01\tMedia file\tbaby\tcry\tSTOP\t1.25\tv/a.mp4
o1\t2026-01-01\tMedia file\tbaby\tfuss\tSTART\t2.0\tv/a.mp4
o1\t2026-01-01\tMedia file\tbaby\tfuss\tSTOP\t3.5\tv/a.mp4
"""
CHILDPROJECT = """segment_onset,segment_offset,speaker_id,speaker_type,vcm_type,lex_type,raw_filename
500,1250,NA,CHI,Y,NA,a.eaf
2000,3500,NA,FEM,NA,NA,a.eaf
"""
AUDIOSET = """segment_id\tstart_time_seconds\tend_time_seconds\tlabel
b0RFKhbpFJA_30000\t0.500\t1.250\t/t/dd00002
b0RFKhbpFJA_30000\t2.000\t3.500\t/m/09x0r
"""
DCASE = """filename\tonset\toffset\tevent_label
a.wav\t0.500\t1.250\tcry
a.wav\t2.000\t3.500\tfuss
"""
CHAT = (
    "@UTF8\n@Begin\n@Languages:\teng\n@Participants:\tCHI Target_Child, MOT Mother\n"
    "*CHI:\t0 [=! cries] . \x15500_1250\x15\n%com:\tloud\n"
    "*MOT:\toh no\n\tlittle one . \x152000_3500\x15\n*MOT:\tno time here .\n@End\n"
)
CHAT_OLD = CHAT.replace("\x15500_", '\x15%snd:"night"_500_').replace("0 [=! cries]", "&=cries")
ITS = """<?xml version="1.0" encoding="UTF-8"?>
<ITS fileName="e1"><ProcessingUnit><Recording num="1" startClockTime="2026-01-01T08:00:00Z">
<Conversation num="1"><Segment spkr="CHN" startTime="PT0.50S" endTime="PT1.90S" childCryVfxLen="P0.75S"
startCry1="PT0.50S" endCry1="PT1.25S"/>
<Segment spkr="FAN" startTime="PT2.00S" endTime="PT3.50S" average_dB="-21.2"/></Conversation>
</Recording></ProcessingUnit></ITS>
"""
LABEL_STUDIO = """[{"id": 1, "annotations": [{"id": 3, "completed_by": 2, "result": [
{"id": "r1", "from_name": "label", "to_name": "audio", "type": "labels", "original_length": 9.0,
 "value": {"start": 0.5, "end": 1.25, "channel": 0, "labels": ["cry"]}},
{"id": "r2", "from_name": "label", "to_name": "audio", "type": "labels", "original_length": 9.0,
 "value": {"start": 2.0, "end": 3.5, "channel": 0, "labels": ["fuss"]}}]}],
 "data": {"audio": "/data/upload/1/0a1b2c3d-a.wav"}}]
"""
LABEL_STUDIO_MIN = """[{"audio": "/data/upload/1/0a1b2c3d-a.wav", "id": 1, "annotator": 1,
"annotation_id": 3, "label": [{"start": 0.5, "end": 1.25, "channel": 0, "labels": ["cry"]},
{"start": 2.0, "end": 3.5, "channel": 0, "labels": ["fuss"]}]}]
"""
RESULT = """{"path": "v/a.mp4", "events": [{"onset_s": 0.5, "offset_s": 1.25, "label": "cry",
"confidence": 0.9}, {"onset_s": 2.0, "offset_s": 3.5, "label": "fuss", "confidence": 0.8}]}
"""
SCORES = """path,status,events
v/a.mp4,ok,"[{""onset_s"": 0.5, ""offset_s"": 1.25, ""label"": ""cry""}, {""onset_s"": 2.0, ""offset_s"": 3.5, ""label"": ""fuss""}]"
v/b.mp4,MediaError,
"""
SRT = "1\n00:00:00,500 --> 00:00:01,250\ncry\n\n2\n00:00:02,000 --> 00:00:03,500\nfuss\n"

FILES = [
    ("a.txt", RAVEN, "raven", ["cry", "fuss"], ["", ""]),
    ("a.BirdNET.selections.txt", BIRDNET, "raven", ["cry", "fuss"], ["", ""]),
    ("a.tsv", BORIS, "boris", ["cry", "fuss"], ["baby", "baby"]),
    ("a.csv", BORIS.replace("\t", ","), "boris", ["cry", "fuss"], ["baby", "baby"]),
    ("a.tsv", BORIS_EVENTS, "boris", ["cry", "fuss"], ["baby", "baby"]),
    ("a.csv", CHILDPROJECT, "childproject", ["cry", "FEM"], ["CHI", "FEM"]),
    ("a.tsv", AUDIOSET, "audioset", ["cry", "/m/09x0r"], ["", ""]),
    ("a.tsv", DCASE, "dcase", ["cry", "fuss"], ["", ""]),
    ("a.cha", CHAT, "chat", ["cry", "oh no little one"], ["CHI", "MOT"]),
    ("a.cha", CHAT_OLD, "chat", ["cry", "oh no little one"], ["CHI", "MOT"]),
    ("a.its", ITS, "its", ["cry", "FAN"], ["CHN", "FAN"]),
    ("a.json", LABEL_STUDIO, "label-studio", ["cry", "fuss"], ["", ""]),
    ("a.json", LABEL_STUDIO_MIN, "label-studio", ["cry", "fuss"], ["", ""]),
    ("a.json", RESULT, "cryvision", ["cry", "fuss"], ["", ""]),
    ("a.jsonl", RESULT.replace("\n", " "), "cryvision", ["cry", "fuss"], ["", ""]),
    ("a.csv", SCORES, "cryvision", ["cry", "fuss"], ["", ""]),
    ("a.srt", SRT, "srt", ["cry", "fuss"], ["", ""]),
]


@pytest.mark.parametrize(("name", "text", "form", "labels", "tiers"), FILES)
def test_the_file_of_a_program_is_recognised_and_read(
    tmp_path: Path, name: str, text: str, form: str, labels: list[str], tiers: list[str]
) -> None:
    path = write(tmp_path / name, text)
    assert format_of(path) == form
    assert read_annotations(path) == [
        Interval(0.5, 1.25, labels[0]),
        Interval(2.0, 3.5, labels[1]),
    ]
    assert [i.tier for i in read_annotations(path)] == tiers


def test_a_table_of_many_recordings_is_read_by_recording(tmp_path: Path) -> None:
    text = DCASE + "b.wav\t1.0\t2.0\tcry\nempty.wav\t\t\t\n"
    path = write(tmp_path / "all.tsv", text)
    found = read_recordings(path)
    assert list(found) == ["a.wav", "b.wav", "empty.wav"]
    assert found["b.wav"] == [Interval(1.0, 2.0, "cry")]
    assert found["empty.wav"] == []
    with pytest.raises(AnnotationError, match=r"line 4: .* one recording"):
        read_annotations(path)


def test_raven_times_of_joined_files_are_read_as_times_of_each_file(tmp_path: Path) -> None:
    columns = (
        "Selection",
        "Begin Time (s)",
        "End Time (s)",
        "Begin File",
        "File Offset (s)",
        "Annotation",
    )
    rows = (
        ("1", "2.0", "3.5", "a.wav", "2.0", "cry"),
        ("2", "61,25", "62,0", "b.wav", "1,25", "cry"),
        ("3", "70.0", "71.0", "b.wav", "", "cry"),
    )
    text = "".join("\t".join(row) + "\n" for row in (columns, *rows))
    found = read_recordings(write(tmp_path / "joined.txt", text))
    assert found == {
        "a.wav": [Interval(2.0, 3.5, "cry")],
        "b.wav": [Interval(1.25, 2.0, "cry"), Interval(70.0, 71.0, "cry")],
    }


def test_people_who_labelled_the_same_task_are_tiers(tmp_path: Path) -> None:
    one, two = (
        f'{{"completed_by": {number}, "result": [{{"value": {{"start": 0, "end": 1, '
        f'"labels": ["cry"]}}}}]}}'
        for number in (4, 7)
    )
    text = f'[{{"data": {{"audio": "a.wav"}}, "annotations": [{one}, {two}]}}]'
    assert [i.tier for i in read_annotations(write(tmp_path / "a.json", text))] == ["4", "7"]


@pytest.mark.parametrize(
    ("name", "text", "line", "rule"),
    [
        ("a.tsv", BORIS_EVENTS.replace("\tSTART\t0.5", "\tSTOP\t0.5"), 2, "must start"),
        ("a.tsv", BORIS_EVENTS.rsplit("o1\t", 1)[0], 4, "must stop"),
        ("a.tsv", DCASE.replace("3.500", "soon"), 3, "number of seconds"),
        ("a.csv", CHILDPROJECT.replace("3500", "soon"), 3, "number of seconds"),
        ("a.tsv", "a\tb\n1\t2\n", 1, "start_s and end_s"),
        ("a.cha", "*CHI:\tno head .\n", 1, "must begin with @"),
        ("a.its", ITS.replace("PT2.00S", "2"), 1, "PT1.25S"),
        ("a.its", "<!DOCTYPE a []><ITS/>", 1, "entities"),
        ("a.its", "<EAF/>", 1, "must hold ITS"),
        ("a.json", '[{"annotations": [', 1, "JSON"),
        ("a.json", '{"events": [{"onset_s": 1}]}', 1, "onset_s and offset_s"),
        ("a.json", '{"events": 3}', 1, "list of events"),
        ("a.json", "{}", 1, "one of the formats"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, line: int, rule: str
) -> None:
    assert_refused(write(tmp_path / name, text), line, rule)

"""Every kind of source gives its clips, once each and under names that stay in their folder."""

from __future__ import annotations

import os
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from cryvision.batch.job import Job
from cryvision.batch.scoring import ClipScorer
from cryvision.batch.sources import (
    ListedClip,
    common_folder,
    find_clips,
    identity,
    name_below,
)
from cryvision.errors import ConfigError, MediaError


def found(*sources: object, excluded: tuple[str, ...] = ()) -> list[str]:
    return [clip.path for clip in find_clips([str(s) for s in sources], excluded, [])]


def test_a_folder_gives_the_media_in_it_and_below_sorted(make_clips):
    clips = make_clips("b.wav", "a/2.MP4", "a/1.ogg", "c.txt", ".d.wav", ".e/f.wav", "a/g.csv")
    below = [os.path.relpath(path, clips) for path in found(clips)]
    assert below == ["b.wav", os.path.join("a", "1.ogg"), os.path.join("a", "2.MP4")]


def test_what_cameras_and_recorders_write_is_media(make_clips):
    names = ("a.ts", "b.M2TS", "c.mka", "d.vob", "e.w64", "f.rf64", "g.3gpp", "h.asf")
    clips = make_clips(*names)
    assert [os.path.basename(path) for path in found(clips)] == list(names)


def test_the_folders_of_the_results_are_passed_over(make_clips):
    clips = make_clips("a.wav", "labels/a.mp4")
    assert found(clips, excluded=(str(clips / "labels"),)) == [str(clips / "a.wav")]


def test_a_file_is_taken_whatever_its_name(make_clips):
    clips = make_clips("recording.dat")
    assert found(clips / "recording.dat") == [str(clips / "recording.dat")]


def test_a_pattern_gives_the_media_that_fit(make_clips):
    clips = make_clips("d1/a.wav", "d1/a.txt", "d2/b.wav", "e/c.wav")
    assert found(clips / "d*" / "*") == [str(clips / "d1/a.wav"), str(clips / "d2/b.wav")]
    assert len(found(clips / "**" / "*.wav")) == 3


def test_a_name_that_looks_like_a_pattern_is_a_name_where_it_exists(make_clips):
    clips = make_clips("a[1].wav", "a1.wav")
    assert found(clips / "a[1].wav") == [str(clips / "a[1].wav")]


def test_a_manifest_names_clips_relative_to_itself_also_those_that_are_gone(make_clips):
    clips = make_clips("m.csv", "a.wav", "b/c.wav")
    (clips / "m.csv").write_text("\ufeffSubject, Path\n1,a.wav\n2, b/c.wav\n3,gone.wav\n")
    listed = list(find_clips([str(clips / "m.csv")], (), []))
    assert [os.path.relpath(c.path, clips) for c in listed] == [
        "a.wav",
        os.path.join("b", "c.wav"),
        "gone.wav",
    ]
    assert [clip.size_bytes for clip in listed] == [0, 0, -1]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_manifest_is_read_as_spreadsheets_of_all_countries_write_it(make_clips, mark):
    manifest = make_clips("a.wav", "b, c.wav") / "m.csv"
    text = '\ufeffpath|subject\r\na.wav|p1\r\n"b, c.wav"|p2\r\n'.replace("|", mark)
    manifest.write_text(text, encoding="utf-8", newline="")
    listed = list(find_clips([str(manifest)], (), []))
    assert [(Path(clip.path).name, clip.subject) for clip in listed] == [
        ("a.wav", "p1"),
        ("b, c.wav", "p2"),
    ]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_manifest_names_a_clip_in_either_form_of_its_accents(make_clips, form):
    name = unicodedata.normalize({"NFC": "NFD", "NFD": "NFC"}[form], "bébé.wav")
    manifest = make_clips(name) / "m.csv"
    text = f"path,subject\n{unicodedata.normalize(form, name)},p1\ngone é.wav,\n"
    manifest.write_text(text, encoding="utf-8")
    listed = list(find_clips([str(manifest)], (), []))
    assert [clip.size_bytes for clip in listed] == [0, -1]
    assert os.path.samefile(listed[0].path, manifest.with_name(name))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,label\na.wav,x\n", "line 1: a manifest must have the column path; got file, label"),
        ("", "line 1: a manifest must have the column path"),
        ('path\n"a.wav', "line 2: not a CSV file"),
        (b"path\n\xff.wav\n", "must be UTF-8"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_with_its_line(make_clips, text, match):
    manifest = make_clips("m.csv") / "m.csv"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=match):
        found(manifest)


def test_rows_that_cannot_be_read_are_problems_and_the_rest_goes_on(make_clips):
    manifest = make_clips("m.csv", "a.wav", "b.wav", "c.wav") / "m.csv"
    manifest.write_text('path,x\na.wav,1\n,2\n"b.wav"c,3\n\nb.wav\nc.wav,1,2,3\n' + "d" * 200_000)
    problems: list[str] = []
    listed = list(find_clips([str(manifest)], (), problems))
    assert [Path(clip.path).name for clip in listed] == ["a.wav", "b.wav", "c.wav"]
    assert "line 3: the path is empty" in problems[0]
    assert "line 4: not a row of CSV" in problems[1]
    assert "line 8: not a row of CSV" in problems[2]
    assert len(problems) == 3


@pytest.mark.parametrize(
    "path",
    [
        *("http://127.0.0.1:1/a.wav", "https://host/a.wav", "ftp://host/a.wav", "sftp://h/a.wav"),
        *("reference://x", "dir://a.wav", "file:///etc/passwd", "local://a.wav", "memory://a.wav"),
        *("github://o:r@m/a.wav", "simplecache::s3://b/a.wav", "zip://a.wav::s3://b/c.zip"),
        *("S3://b/a.wav", "://a.wav", "hdfs://h/a.wav", "smb://h/s/a.wav", "s3://"),
    ],
)
def test_a_row_of_another_scheme_is_an_error_row(tmp_path, tone_wav, monkeypatch, path):
    """Nothing is contacted or opened for it, and the clip beside it is scored."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("a host was looked up"))
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path\n{path}\n{tone_wav}\n")
    job = Job(None, "null", "0" * 64, "0", os.getcwd(), scorer="scorers:NullScorer")
    listed = list(find_clips([str(manifest)], (), []))
    assert [clip.path for clip in listed] == [path, str(tone_wav)]
    assert listed[0].size_bytes == -1
    scorer = ClipScorer.__new__(ClipScorer)
    scorer._job = job
    row = scorer(ListedClip("k", path, -1, "x"))
    assert row["status"] == "MediaError"
    assert path in row["error"]


@pytest.mark.parametrize("name", ["gone.wav", "gone", "*.mp3"])
def test_a_source_that_is_not_there_is_an_error(make_clips, name):
    with pytest.raises(MediaError):
        found(make_clips("a.wav") / name)


@pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="permissions do not bind here",
)
def test_a_folder_that_cannot_be_read_is_a_problem_and_the_rest_goes_on(make_clips):
    clips = make_clips("a.wav", "secret/b.wav")
    (clips / "secret").chmod(0)
    problems: list[str] = []
    try:
        assert len(list(find_clips([str(clips)], (), problems))) == 1
    finally:
        (clips / "secret").chmod(0o700)
    assert "cannot be read" in problems[0]


def test_one_clip_has_one_identity_however_its_path_is_written(make_clips, monkeypatch):
    clips = make_clips("a.wav")
    monkeypatch.chdir(clips)
    assert identity("a.wav") == identity("./a.wav") == identity(str(clips / "a.wav"))
    assert identity("s3://babies/a.wav") == "s3://babies/a.wav"


def test_names_mirror_the_folders_below_what_the_sources_have_in_common(make_clips):
    clips = make_clips("a/x.wav", "b/c/x.wav")
    assert common_folder([str(clips)]) == str(clips)
    sources = [str(clips / "a" / "x.wav"), str(clips / "b" / "*" / "*.wav"), "s3://babies/z"]
    root = common_folder(sources)
    assert root == str(clips)
    assert name_below(str(clips / "b" / "c" / "x.wav"), root) == "b/c/x.wav"
    assert name_below("s3://babies/z/x.wav", root) == "s3/babies/z/x.wav"


@pytest.mark.parametrize("path", ["../../etc/x.wav", "s3://babies/../../x.wav", "s3:///x.wav"])
def test_no_name_leads_out_of_its_folder(tmp_path, path):
    full = path if "://" in path else str(tmp_path / path)
    assert not {"..", ""} & set(name_below(full, str(tmp_path)).split("/"))

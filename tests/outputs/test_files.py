"""Files get names that no clip shares, stay in their folder, and are there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryvision.errors import ConfigError, CryvisionError
from cryvision.outputs import FORMATS, files, stems, write

ODD_NAMES = [
    "bébé 日本.wav",
    "-rf.wav",
    "line\nbreak\ttab.wav",
    "caf\udce9.wav",
    "left\u202eright.wav",
    "x" * 250 + ".wav",
    "日" * 100 + ".wav",
    "..",
    "...",
    "con.wav",
    "a:b|c?.wav",
    "concat:a%03d.wav",
    "",
]
TEXT_FORMATS = [name for name in FORMATS if name not in ("png", "mp4", "mp4-blurred")]


def _full_disk(classification, path):
    path.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_clip_name_leads_to_files_inside_the_folder(make, tmp_path, name):
    out = tmp_path / "out"
    paths = write(make(path=f"clips/{name}"), out, TEXT_FORMATS)
    assert sorted(out.iterdir()) == sorted(paths)
    for path in paths:
        assert path.parent == out
        assert len(path.name.encode()) <= files.MAX_NAME_BYTES
        assert path.name.isprintable()


@given(st.text(st.characters(codec=None), max_size=300))
def test_a_stem_is_portable_whatever_it_is_given(stem):
    name = files._portable(stem)
    assert name
    assert not set(name) & set('/\\<>:"|?*\0\n')
    assert name not in {".", ".."}
    assert files._portable(name) == name


def test_the_stem_is_the_callers_where_it_is_given(make, tmp_path):
    assert write(make(), tmp_path, ["vtt"], stem="a.wav") == [tmp_path / "a.wav.vtt"]


def test_a_stem_cannot_leave_the_folder(make, tmp_path):
    out = tmp_path / "out"
    (path,) = write(make(), out, ["vtt"], stem="../../escape")
    assert path.resolve().parent == out.resolve()


def test_formats_come_in_the_order_asked_for_and_once(make, tmp_path):
    paths = write(make(), tmp_path, ["vtt", "csv", "vtt"])
    assert [path.name for path in paths] == [
        *("demo.vtt", "demo.csv", "demo.events.csv", "demo.bouts.csv")
    ]


def test_an_unknown_format_is_refused_by_name_before_anything_is_written(make, tmp_path):
    with pytest.raises(ConfigError, match=r"formats must be a list of strings; got 'csv'"):
        write(make(), tmp_path, "csv")
    with pytest.raises(ConfigError, match=r"formats must be among csv, .*; got 'xml'"):
        write(make(), tmp_path / "out", ["csv", "xml"])
    assert not (tmp_path / "out").exists()


def test_clips_of_one_run_never_share_a_file():
    clips = ["a.wav", "a.mp4", "b/A.WAV", "c.wav", "c.events.wav", "d.wav", "D.mp3", "e/d.wav"]
    chosen = stems(clips)
    assert chosen[:2] == ["a.wav", "a.mp4"]
    taken = [
        (stem + suffix).casefold() for stem in chosen for s in FORMATS.values() for suffix in s
    ]
    assert len(set(taken)) == len(taken)


def test_a_clip_that_shares_its_name_with_none_keeps_it():
    assert stems(["x/one.wav", Path("two.mp4")]) == ["one", "two"]


def test_long_names_that_differ_at_the_end_stay_apart():
    chosen = stems(["y" * 300 + "1.wav", "y" * 300 + "2.wav"] + ["z" * 300 + ".wav"] * 3)
    assert len(set(chosen)) == 5
    assert max(len(f"{stem}.events.csv") for stem in chosen) <= files.MAX_NAME_BYTES


def test_composed_and_decomposed_names_count_as_one():
    assert len({stem.casefold() for stem in stems(["\u00e9.wav", "e\u0301.mp4"])}) == 2
    assert stems(["\u00e9.wav", "e\u0301.mp4"])[1] == "e\u0301.mp4"


def test_files_are_replaced_by_a_second_run(make, tmp_path):
    write(make(), tmp_path, ["audacity"])
    path, _ = write(make(events=()), tmp_path, ["audacity"])
    assert path.read_text() == ""


def test_a_full_disk_is_one_line_and_leaves_what_was_there(make, tmp_path, monkeypatch):
    (old,) = write(make(), tmp_path, ["csv"])[:1]
    before = old.read_bytes()
    monkeypatch.setitem(files.FORMATS, "vtt", {".vtt": _full_disk})
    with pytest.raises(CryvisionError, match="No space left on device") as caught:
        write(make(events=()), tmp_path, ["csv", "vtt"])
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert old.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("demo.bouts.csv", "demo.csv", "demo.events.csv")
    ]


def test_an_interrupted_run_leaves_nothing_half_written(make, tmp_path, monkeypatch):
    def interrupt(classification, path):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setitem(files.FORMATS, "vtt", {".vtt": interrupt})
    with pytest.raises(KeyboardInterrupt):
        write(make(), tmp_path, ["csv", "vtt"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_one_line(make, tmp_path):
    out = tmp_path / "out"
    out.write_text("a file")
    with pytest.raises(CryvisionError, match="could not be written") as caught:
        write(make(), out, ["csv"])
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind here"
)
def test_an_unwritable_folder_is_one_line(make, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CryvisionError, match="Permission denied"):
            write(make(), tmp_path, ["csv"])
    finally:
        tmp_path.chmod(0o700)


def test_the_clip_itself_is_never_overwritten(make, tmp_path):
    clip = tmp_path / "clip.json"
    clip.write_text("precious")
    with pytest.raises(ConfigError, match="must not overwrite the clip"):
        write(make(path=str(clip)), tmp_path, ["json"])
    assert clip.read_text() == "precious"


def test_importing_the_outputs_loads_no_plotting_or_annotation_library():
    code = (
        "import sys, cryvision.outputs;"
        "print(sorted({'matplotlib', 'praatio', 'keras', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

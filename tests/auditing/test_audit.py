"""An audit finds what was planted in a corpus, says what to do, and leaves the rest in peace."""

from __future__ import annotations

import json
import shutil
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from lab import babble

from cryvision.auditing.audit import Audit, audit
from cryvision.auditing.html import KIND, page
from cryvision.auditing.markdown import audit_text
from cryvision.augmentation.effects import change_speed
from cryvision.datasets.labelled import CLEANED_FOLDER
from cryvision.errors import AnnotationError, ConfigError, CryvisionError, MediaError
from cryvision.outputs.html_page import check_page, write_report_page

SPEED_STEP = 0.02
"""In which copies at another speed are looked for."""

EPOCH_S = 1_430_000_000
CODES = {"hungry": "hu", "tired": "ti", "discomfort": "dc"}


def write(
    folder: Path,
    label: str,
    phone: int,
    second: float,
    samples: np.ndarray,
    code: str = "",
    extra: str = "",
) -> Path:
    """Write a clip with a name of donateacry's app for iOS, ``second`` after all began."""
    name = (
        f"{uuid.UUID(int=phone)}-{EPOCH_S + 1000 * phone + second:.0f}-1.0-m-26-"
        f"{code or CODES[label]}{extra}.wav"
    )
    return Path(lab.write_wav(folder / label / name, samples))


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen clips of ten phones, and one of each flaw."""
    folder = tmp_path_factory.mktemp("flawed")
    for phone in range(4):
        write(folder, "hungry", phone, 0, babble(phone))
        write(folder, "tired", phone + 4, 0, babble(phone + 4))
    write(folder, "discomfort", 1, 30, babble(20))  # of a phone that was hungry 30 s before
    write(folder, "discomfort", 8, 0, babble(21), code="ch")
    write(folder, "hungry", 8, 600, 1e-3 * babble(22))
    write(folder, "tired", 9, 0, np.clip(60 * babble(23), -1, 1))
    write(folder, "hungry", 9, 9000, babble(24), extra=".wav")
    write(folder, "tired", 0, 5000, babble(0)[:-1])  # cut by a sample: the clip of hungry 0
    (folder / "hungry" / "notes.txt").write_text("of no clip\n")
    next((folder / "tired").glob("*.wav")).with_suffix(".txt").write_text("1\t2\tcry\n")
    return folder


@pytest.fixture(scope="module")
def found(flawed: Path) -> Audit:
    return audit(flawed)


def finding(found: Audit, kind: str) -> Any:
    (one,) = [one for one in found.findings if one.kind == kind]
    return one


@pytest.mark.parametrize(
    ("kind", "count", "where"),
    [
        ("silent", 1, "00000008-1430008600-1.0-m-26-hu.wav"),
        ("clipped", 1, "00000009-1430009000-1.0-m-26-ti.wav"),
        ("malformed_names", 1, ".wav.wav"),
        ("label_against_name", 1, "-ch.wav"),
        ("label_changes", 1, "30 s later"),
        ("copies_across_labels", 1, "hungry and tired"),
        ("several_labels", 4, "discomfort (1)"),
        ("unread_annotations", 1, "-ti.txt"),
    ],
)
def test_what_was_planted_is_found(found: Audit, kind: str, count: int, where: str) -> None:
    one = finding(found, kind)
    assert one.count == count
    assert any(where in example for example in one.examples)
    assert str(count) in one.title
    assert one.advice


def test_what_is_not_wrong_is_not_named(found: Audit) -> None:
    kinds = {one.kind for one in found.findings}
    assert not kinds & {"unreadable", "stubs", "damaged", "short", "left_out", "subjects_unknown"}
    assert not kinds & {"copies_across_subjects", "generated_copies", "copies"}


def test_the_most_serious_comes_first(found: Audit) -> None:
    order = [("error", "warning", "info").index(one.severity) for one in found.findings]
    assert order == sorted(order)
    text = audit_text(found)
    assert text.index("The same sound under two labels") < text.index("## Clips by label")


def test_counts_are_those_of_the_corpus(found: Audit) -> None:
    assert found.counts["clips"] == 14
    assert found.counts["subjects"] == 10
    assert found.counts["labels"]["hungry"]["clips"] == 6
    assert found.counts["labels"]["hungry"]["subjects"] == 6
    assert found.counts["facts"]["device"]["ios"] == {"discomfort": 2, "hungry": 6, "tired": 6}
    for bins in found.sound.values():
        assert sum(bins["clips"]) == 14
        assert len(bins["edges"]) == len(bins["clips"]) + 1


def test_json_is_plain_and_whole(found: Audit) -> None:
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [one["kind"] for one in record["findings"]] == [one.kind for one in found.findings]
    (copy,) = record["copies"]
    assert copy["labels"] == ["hungry", "tired"]
    assert copy["kind"] == "near copy"


def test_copies_are_told_apart_by_what_was_done(tmp_path: Path) -> None:
    sound = babble(0)
    first = write(tmp_path, "hungry", 1, 0, sound)
    again = first.with_name(first.name.replace("-1.0-", "-1.1-"))
    shutil.copy(first, again)
    flac_like = write(tmp_path, "hungry", 2, 0, sound)
    with flac_like.open("ab") as file:
        file.write(b"LIST\x04\x00\x00\x00INFO")  # other bytes, the same samples
    write(tmp_path, "hungry", 3, 0, change_speed(sound, 1.1))
    write(tmp_path, "tired", 4, 0, babble(1))
    found = audit(tmp_path)
    kinds = sorted(pair.kind for pair in found.copies)
    assert kinds == ["altered copy", "same file", "same sound"]
    assert finding(found, "copies").count == 1
    assert finding(found, "copies_across_subjects").count == 2
    altered = next(pair for pair in found.copies if pair.kind == "altered copy")
    assert altered.speed == pytest.approx(1.1, abs=SPEED_STEP)


def test_generated_files_are_known_by_their_names(tmp_path: Path) -> None:
    for number, name in enumerate(("generated1_a", "b (2)", "copyright", "c_pitch2", "plain")):
        lab.write_wav(tmp_path / "cry" / f"{name}.wav", babble(number))
    examples = finding(audit(tmp_path), "generated_copies").examples
    assert [Path(example).stem for example in examples] == ["b (2)", "c_pitch2", "generated1_a"]


def test_files_that_hold_little_or_nothing_are_found(tmp_path: Path) -> None:
    for number in range(20):
        lab.write_wav(tmp_path / "cry" / f"{number}.wav", babble(number, 1.2))
    lab.write_wav(tmp_path / "cry" / "stub.wav", babble(30, 0.1))
    lab.write_wav(tmp_path / "cry" / "short.wav", babble(31, 0.55))
    whole = lab.write_wav(tmp_path / "cry" / "damaged.wav", babble(32, 3.0))
    whole.write_bytes(whole.read_bytes()[:40_000])
    (tmp_path / "cry" / "empty.wav").touch()
    (tmp_path / "cry" / "broken.wav").write_text("this is no sound")
    found = audit(tmp_path)
    for kind, name, count in (
        ("stubs", "stub.wav", 2),
        ("stubs", "empty.wav", 2),
        ("short", "short.wav", 1),
        ("damaged", "damaged.wav", 1),
        ("unreadable", "broken.wav", 1),
    ):
        assert finding(found, kind).count == count
        assert any(name in example for example in finding(found, kind).examples)
    assert found.counts["unreadable"] == found.counts["left_out"] == 1
    assert finding(found, "subjects_unknown").count == 24


def test_a_checkout_of_donateacry_is_read_as_training_reads_it(tmp_path: Path) -> None:
    write(tmp_path / CLEANED_FOLDER, "hungry", 1, 0, babble(1))
    bucket = tmp_path / "donateacry-ios-upload-bucket"
    lab.write_wav(bucket / "whatever.wav", babble(2))
    found = audit(tmp_path)
    assert found.counts["clips"] == 1
    assert any("donateacry-ios-upload-bucket" in line for line in found.problems)


@pytest.mark.parametrize(
    "seconds",
    [("0", "20", "4000"), ("1796134391", "1796134411.5", "1796138391"),
     ("-500", "-480", "3500"), ('"0,5"', '"20,5"', '"4000,5"')],
    ids=["since the first", "since 1970", "before a visit", "decimal commas"],
)  # fmt: skip
def test_a_manifest_may_say_when_who_and_with_what(
    tmp_path: Path, seconds: tuple[str, str, str]
) -> None:
    rows = ["path,label,subject,epoch_s,platform,gender,age"]
    for number, (label, second) in enumerate(zip("aba", seconds, strict=True)):
        lab.write_wav(tmp_path / f"{number}.wav", babble(number))
        rows.append(f"{number}.wav,{label},Ann,{second},phone,f,3")
    manifest = tmp_path / "clips.csv"
    manifest.write_text("\n".join(rows))
    found = audit(manifest)
    assert finding(found, "label_changes").count == 1
    assert found.counts["facts"]["gender"] == {"f": {"a": 2, "b": 1}}


def test_a_device_of_one_subject_alone_has_no_figure(tmp_path: Path) -> None:
    rows = ["path,label,subject,platform"]
    for number in range(8):
        lab.write_wav(tmp_path / f"{number}.wav", babble(number))
        device = "tablet" if number == 7 else ("phone", "camera")[number % 2]
        rows.append(f"{number}.wav,a,baby{number},{device}")
    manifest = tmp_path / "clips.csv"
    manifest.write_text("\n".join(rows))
    found = audit(manifest)
    assert set(found.device_from_sound["devices"]) == {"phone", "camera"}
    assert found.device_from_sound["reason"] is None
    assert "nan" not in audit_text(found)
    only = audit_of_two(tmp_path, rows)
    assert only.device_from_sound["devices"] == {}
    assert "Not measured: no fold has two of them" in audit_text(only)


def audit_of_two(folder: Path, rows: list[str]) -> Audit:
    """Audit without the cameras: of the two devices left one has a single subject."""
    manifest = folder / "two.csv"
    manifest.write_text("\n".join(row for row in rows if not row.endswith("camera")))
    return audit(manifest)


class _Reads(HTMLParser):
    """Collects what a page would load, and its figures."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.figures = 0
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loads = [str(value) for name, value in attrs if name in ("src", "href")]
        self.loads += [url for url in loads if not url.startswith("data:image/png;base64,")]
        self.figures += tag == "img"
        self.scripts += tag == "script"


def test_the_page_loads_nothing_and_shows_figures(found: Audit, tmp_path: Path) -> None:
    write_report_page(KIND, page(found), tmp_path / "audit.html")
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    reads = _Reads()
    reads.feed(html)
    assert (reads.loads, reads.scripts) == ([], 0)
    assert "http://" not in html
    assert "https://" not in html
    assert reads.figures >= 4
    assert html.count("What to do:") == len(found.findings)
    write_report_page(KIND, page(found), tmp_path / "audit.html")  # an older page is replaced


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    lab.write_wav(tmp_path / "<script>alert(1)<" / "a.wav", babble(1))
    odd = "![x](http:&#47;&#47;example.org) [y](b) $1 | *.wav"
    lab.write_wav(tmp_path / "<script>alert(1)<" / odd, np.zeros(40_000, np.float32))
    lab.write_wav(tmp_path / "<script>alert(1)<" / "b\x1b[31m.wav", np.zeros(40_000, np.float32))
    found = audit(tmp_path)
    html = page(found)
    reads = _Reads()
    reads.feed(html)
    assert (reads.scripts, reads.loads) == (0, [])
    assert "\x1b" not in html
    assert "\x1b" not in audit_text(found)
    assert finding(found, "malformed_names").count == 1


def test_what_is_not_a_page_of_an_audit_is_never_replaced(found: Audit, tmp_path: Path) -> None:
    recording = lab.write_wav(tmp_path / "only.wav", babble(1))
    before = recording.read_bytes()
    with pytest.raises(CryvisionError, match="only the page of an older audit"):
        write_report_page(KIND, page(found), recording)
    with pytest.raises(CryvisionError, match="the page is a file"):
        check_page(KIND, tmp_path)
    assert recording.read_bytes() == before


def test_sources_that_cannot_be_judged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nothing is at"):
        audit(tmp_path / "nowhere")
    (tmp_path / "cry").mkdir()
    with pytest.raises(AnnotationError, match="must hold clips"):
        audit(tmp_path)
    (tmp_path / "cry" / "a.wav").write_text("this is no sound")
    with pytest.raises(MediaError, match="none of 1 clips can be read"):
        audit(tmp_path)
    with pytest.raises(ConfigError, match="seed"):
        audit(tmp_path, seed=-1)

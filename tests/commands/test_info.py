"""``info`` describes a bundle; one that is off is refused by name, whatever the command."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from bundles import BUNDLE_V1

OF_A_RUN = "must be the .about.json that score writes beside its table"


def test_a_bundle_is_described_in_words(run) -> None:
    done = run("info", BUNDLE_V1)
    assert (done.code, done.err) == (0, "")
    digest = hashlib.sha256((BUNDLE_V1 / "bundle.json").read_bytes()).hexdigest()
    assert done.out.startswith(f"bundle tiny, sha256 {digest[:12]}\n")
    for fact in (str(BUNDLE_V1), "no cry", "balanced accuracy 0.50", "CC0-1.0"):
        assert fact in done.out.replace("\n" + 12 * " ", " ")


def test_a_gap_is_called_bridged_only_where_one_is(run) -> None:
    assert "bridged" not in run("info").out
    assert "gaps under 0.2 s bridged" in run("info", BUNDLE_V1).out.replace("\n" + 12 * " ", " ")


def test_a_bundle_is_described_as_one_json_object(run) -> None:
    done = run("info", "--json", BUNDLE_V1)
    (facts,) = done.objects
    assert (facts["name"], facts["labels"]) == ("tiny", ["no cry", "cry"])
    assert facts["parts"][0]["name"] == "detector"


def spoil(folder: Path, how: str) -> Path:
    """Do one harm to a bundle; return the file that is to be named."""
    description = folder / "bundle.json"
    onnx, keras = folder / "detector.onnx", folder / "detector.keras"
    facts = json.loads(description.read_text("utf-8"))
    if how == "nothing there":
        shutil.rmtree(folder)
        return folder
    if how == "corrupt":
        description.write_bytes(description.read_bytes()[:100])
        return description
    if how == "wrong version":
        facts["format_version"] = 99
        description.write_text(json.dumps(facts), "utf-8")
        return description
    if how == "tampered":
        onnx.write_bytes(onnx.read_bytes() + b"\0")
        return onnx
    # Whoever puts a Lambda into a model mends its hash as well.
    with zipfile.ZipFile(keras) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] |= {"class_name": "Lambda", "module": "keras.layers"}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(keras, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    digest = hashlib.sha256(keras.read_bytes()).hexdigest()
    facts["parts"][0]["files"]["keras"]["sha256"] = digest
    description.write_text(json.dumps(facts), "utf-8")
    return keras


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("nothing there", "no bundle"),
        ("corrupt", "JSON"),
        ("wrong version", "99"),
        ("tampered", "sha256"),
        ("lambda", "Lambda"),
    ],
)
def test_a_bundle_that_is_off_is_refused_in_one_line(
    run, bout_wav: Path, tmp_path: Path, how: str, word: str
) -> None:
    folder = Path(shutil.copytree(BUNDLE_V1, tmp_path / "bundle"))
    place = spoil(folder, how)
    for command in (["info", folder], ["classify", "--bundle", folder, bout_wav, bout_wav]):
        done = run(*command)
        assert (done.code, done.out) == (1, "")
        (line,) = done.err.splitlines()
        assert line.startswith(f"cryvision: {place}")
        assert word in line


def test_a_part_in_the_wrong_place_is_usage(run) -> None:
    assert run("info", BUNDLE_V1, "more").code == 2


def test_a_bundle_may_stand_before_or_behind_the_option_for_methods(run) -> None:
    behind = run("info", "--methods", BUNDLE_V1)
    assert (behind.code, behind.err) == (0, "")
    assert behind.out == run("info", BUNDLE_V1, "--methods").out


def test_the_paragraph_on_methods_names_version_bundle_settings_and_skill(run) -> None:
    text = " ".join(run("info", "--methods").out.split())
    facts = json.loads(run("info", "--json").out)
    assert f"SHA-256 {facts['sha256']}" in text
    assert f"score reached {facts['gate']['enter']:.3f}" in text
    assert "(veto: normal)" in text
    assert facts["skill"][0]["protocol"] in text
    shown = " ".join(run("info").out.split())
    assert f"from {facts['gate']['enter']:g} to below {facts['gate']['leave']:g}" in shown


def test_the_paragraph_of_a_run_has_its_own_settings(run, tmp_path: Path) -> None:
    facts = json.loads(run("info", "--json").out)
    settings = {"bundle_sha256": facts["sha256"], "version": "9.9", "threshold": 0.7}
    settings |= {"veto": "strict", "bout_gap_s": 2.0, "min_duration_s": None, "min_gap_s": 0.25}
    path = tmp_path / "t.csv.about.json"
    path.write_text(json.dumps({"settings": settings, "bundle": facts}))
    text = " ".join(run("info", "--methods", path).out.split())
    words = ("cryvision 9.9", "reached 0.700", "below 0.420", "gaps under 0.25 s", "less than 2 s")
    for part in (*words, "veto: strict"):
        assert part in text
    assert "Praat" not in text
    path.write_text(json.dumps({"settings": {**settings, "acoustics": True}, "bundle": facts}))
    text = " ".join(run("info", "--methods", path).out.split())
    assert "with Praat through parselmouth" in text
    assert "F0 from 150 to 2000 Hz" in text


def test_the_paragraph_of_a_bundle_of_ones_own_has_its_skill_after_the_veto_too(
    run, tmp_path: Path
) -> None:
    facts = json.loads(run("info", "--json").out)
    measured = {"event_f1": {"value": 0.75}, "event_f1_fused": {"value": 0.7}}
    facts["skill"] = [{**facts["skill"][0], "figures": measured}]
    path = tmp_path / "t.csv.about.json"
    settings = {"bundle_sha256": facts["sha256"]}
    path.write_text(json.dumps({"settings": settings, "bundle": facts}))
    text = " ".join(run("info", "--methods", path).out.split())
    assert "F1 of events 0.75, F1 of events after the veto 0.70" in text


def test_the_paragraph_of_a_run_without_the_veto_claims_no_confirmation(
    run, tmp_path: Path
) -> None:
    facts = json.loads(run("info", "--json").out)
    path = tmp_path / "t.csv.about.json"
    settings = {"bundle_sha256": facts["sha256"], "veto": "off"}
    path.write_text(json.dumps({"settings": settings, "bundle": facts}))
    text = " ".join(run("info", "--methods", path).out.split())
    assert "confirmed" not in text
    assert "rejected none of the events (veto: off)" in text
    # What was measured is not what this run did.
    assert "with the bundle's own settings, its detector reached" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", OF_A_RUN),
        (b'{"settings": []}', OF_A_RUN),
        (b'{"settings": {"bundle_sha256": ""}, "bundle": {"gate": 1}}', OF_A_RUN),
        (b"{", OF_A_RUN),
        (b"\xff\xfe", OF_A_RUN),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_of_a_run_is_one_line_without_the_words_of_python(
    run, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "t.csv.about.json"
    if content is not None:
        path.write_bytes(content)
    done = run("info", "--methods", path)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line == f"cryvision: {path}: {words}"


def test_a_bundle_beside_the_file_of_a_run_is_usage(run) -> None:
    done = run("info", BUNDLE_V1, "--methods", "t.csv.about.json")
    assert done.code == 2
    assert "--methods of a run needs no bundle" in done.err

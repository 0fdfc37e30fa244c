"""A detector learns from corrections, and is compared on clips kept apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from bundles import BUNDLE_V1
from two_parts import two_part_bundle

import cryvision
from cryvision.annotations.corrections import (
    CorrectedEvent,
    Corrections,
    corrections_path,
    write_corrections,
)
from cryvision.bundle import Bundle
from cryvision.detector_training import train as detection
from cryvision.errors import CryvisionError
from cryvision.web.page import Page
from cryvision.web.results import save_result
from cryvision.web.routes.folder import train
from cryvision.web.settings import ServeSettings
from cryvision.web.training import figures_before, train_on_corrections


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is really fitted."""
    monkeypatch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
    monkeypatch.setattr(detection, "fit_frame_network", lambda *given: lab.peak_edges())
    monkeypatch.setattr(detection, "altered_copies", lambda sound, rng: [sound])


def corrected_clips(folder: Path) -> list[dict[str, Any]]:
    """Clips of three babies, two each, with the truth as corrections."""
    clips = []
    for seed, baby in enumerate(("ada", "ada", "ben", "ben", "cleo", "cleo")):
        samples, bouts = lab.crying(seed)
        path = lab.write_wav(folder / f"{baby}-{seed}.wav", samples)
        events = [
            CorrectedEvent(f"p{n}", *times, "cry", checked=n == 0) for n, times in enumerate(bouts)
        ]
        write_corrections(Corrections(tuple(events)), corrections_path(path))
        labels = str(corrections_path(path))
        clips.append({"path": str(path), "labels": labels, "name": path.name, "results": None})
    return clips


def test_both_figures_are_of_clips_that_were_kept_apart(
    quick: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = two_part_bundle(tmp_path_factory)
    wanted = {
        "clips": corrected_clips(tmp_path / "clips"),
        "out": str(tmp_path / "out.zip"),
        "job_id": "job",
        "source": "visits",
        "subject_pattern": r"^([a-z]+)-\d\.wav$",
        "cry_labels": [],
        "folds": 3,
    }
    found = train_on_corrections(wanted, base)
    json.dumps(found, allow_nan=False)
    assert found["protocol"] == "grouped 3-fold"
    assert (found["n_clips"], found["n_events"], found["n_checked"]) == (6, 12, 6)
    for when in ("before", "after"):
        assert 0 <= found[when]["event_f1"] <= 1
    low, high = found["after"]["interval"]
    assert low <= found["after"]["event_f1"] <= high
    assert found["bundle_url"] == "/api/train/job/bundle.zip"
    trained = Bundle.load(wanted["out"])
    assert trained.sha256 == found["bundle"]["sha256"]
    # It is what `evaluate` looks for, to warn of clips that were in the training.
    assert "visits/corrections.csv" in [source["name"] for source in trained.sources]
    assert "favours" in found["note"]


def test_what_a_detector_was_trained_on_is_named_by_the_folder_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected_clips(tmp_path / "visits")
    monkeypatch.chdir(tmp_path / "visits")
    (tmp_path / "private" / "requests").mkdir(parents=True)
    page = Page(ServeSettings(bundle=str(BUNDLE_V1), folder=Path(".")), tmp_path / "private")
    monkeypatch.setattr(page.side_lane, "submit", lambda job: None)
    try:
        train(page)
        assert page.training is not None
        assert page.training.request["source"] == "visits"
        assert len(page.training.request["clips"]) == 6
    finally:
        page.close()


def test_both_figures_are_of_the_same_clips(
    quick: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clips = corrected_clips(tmp_path / "clips")
    wanted = {
        "clips": clips,
        "out": str(tmp_path / "out.zip"),
        "job_id": "job",
        "source": "visits",
        "subject_pattern": r"^([a-z]+)-\d\.wav$",
        "cry_labels": [],
        "folds": 3,
    }
    base = two_part_bundle(tmp_path_factory)
    alone = train_on_corrections(wanted, base)
    # Of one more clip the pattern names no subject, and one cannot be read.
    for name in ("nameless.wav", "dee-9.wav"):
        path = tmp_path / "clips" / name
        path.write_bytes(Path(clips[0]["path"]).read_bytes() if name[0] == "n" else b"no sound")
        far = (CorrectedEvent("p", 0.0, 0.2, "cry", checked=True),)
        write_corrections(Corrections(far), corrections_path(path))
        more = {"path": str(path), "labels": str(corrections_path(path)), "name": name}
        clips.append({**more, "results": None})
    found = train_on_corrections(wanted, base)
    for name in ("before", "after", "n_clips", "n_events", "n_checked"):
        assert found[name] == alone[name]
    assert found["n_left_out"] == 2


def test_what_a_detector_that_found_nothing_had_right_is_undefined(tmp_path: Path) -> None:
    clips = corrected_clips(tmp_path / "clips")[:1]
    silence = np.zeros(16_000, np.float32)
    stream = cryvision.StreamClassifier()
    stream.push(silence)
    save_result(stream.finish(), tmp_path)
    clips[0]["results"] = str(tmp_path)
    found = figures_before(clips, Bundle.load(), ("cry",))
    assert found == {"event_f1": 0.0, "precision": None, "recall": 0.0}


def test_one_subject_is_too_few(
    quick: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = {
        "clips": corrected_clips(tmp_path / "clips")[:2],
        "out": str(tmp_path / "out.zip"),
        "job_id": "job",
        "source": "visits",
        "subject_pattern": r"^([a-z]+)-\d\.wav$",
        "cry_labels": [],
        "folds": 3,
    }
    with pytest.raises(CryvisionError, match="two subjects"):
        train_on_corrections(wanted, two_part_bundle(tmp_path_factory))

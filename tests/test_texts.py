"""The texts beside the trained models: who is credited, and what the model card says."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from pages import ROOT
from test_detector_tables import made_up_results

MOST_BYTES = 20_000
COLUMNS = ("file", "class", "source", "licence", "attribution", "derived")


@pytest.fixture(scope="module")
def texts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("texts", ROOT / "experiments" / "texts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_sounds(path: Path, *rows: tuple[str, ...]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def test_those_are_credited_whose_licence_asks_for_it(texts: ModuleType, tmp_path: Path):
    repository = "maker/sounds@0123456789abcdef"
    sounds = write_sounds(
        tmp_path / "sounds.csv",
        ("a.ogg", "music", repository, "CC-BY-3.0", "Zoe (Freesound)", ""),
        ("b.ogg", "music", repository, "CC BY 3.0", "Adam", ""),
        ("c.ogg", "music", repository, "CC-BY-SA-4.0", "Ben", ""),
        ("d.ogg", "animal", repository, "CC0 1.0", "Free", ""),
        ("e.ogg", "animal", repository, "Public domain", "Old", ""),
        ("f.ogg", "music", repository, "CC BY 4.0", "[see](#authors)", ""),
        ("g.ogg", "talk_over_music", repository, "CC BY 4.0", "Mixed", "mix of the files named"),
        ("h.ogg", "infant_cry", repository, "CC BY 4.0", "Baby", ""),
    )
    assert (
        "https://github.com/maker/sounds, commit 0123456\n"
        "  CC BY 3.0: Adam; Zoe\n"
        "  CC BY 4.0: others named there\n"
        "  CC BY-SA 4.0: Ben\n"
        "  CC0 or public domain: 2 recordings\n"
    ) in texts.notice(sounds)
    for source in texts.SOURCES:
        assert source["name"] in texts.notice(sounds)
    few = texts.notice(sounds, texts.SOURCES[2:])
    assert "donateacry" not in few


def test_no_sound_of_an_unknown_licence_is_trained_on(texts: ModuleType, tmp_path: Path):
    row = ("a.ogg", "music", "maker/sounds@0123456789", "all rights reserved", "Someone", "")
    with pytest.raises(ValueError, match="all rights reserved"):
        texts.notice(write_sounds(tmp_path / "sounds.csv", row))


@pytest.mark.corpus
def test_the_credits_of_all_sounds_are_a_page(texts: ModuleType, corpus: Path):
    sounds = corpus / "other-sounds" / "sounds.csv"
    text = texts.notice(sounds)
    assert len(text.encode()) < MOST_BYTES
    with open(sounds, encoding="utf-8") as file:
        named = {
            row["attribution"].split(" (")[0].split(" @ ")[0]
            for row in csv.DictReader(file)
            if "BY" in row["licence"].upper()
            and not row["derived"]
            and row["class"] != "infant_cry"
        }
    missing = {name for name in named if name not in text}
    assert all(name.startswith(("[", "Attribution")) for name in missing), missing


def test_the_model_card_has_the_figures_of_the_results(texts: ModuleType):
    results = made_up_results()
    results["shipped"]["veto"] = dict.fromkeys(
        ("normal_at", "normal_near", "strict_at", "strict_near"), 0.44
    )
    trained = json.loads((ROOT / "experiments" / "results" / "train_default.json").read_text())
    reasons = trained["reasons"]["skill"][0]
    card = texts.model_card(results, reasons)
    assert "{" not in card
    phones = results["mean"]["phones"]
    assert f"AUC {phones['edges']['auc']['value']:.3f}" in card
    assert f"{100 * phones['kept']:.1f} %" in card
    assert f"{reasons['prior']['log_loss']:.3f}" in card
    assert "That is no skill" in card
    better = {"value": 0.6, "interval": [0.5, 0.7]}
    figures = {**reasons["figures"], "balanced_accuracy": better, "log_loss": {"value": 0.1}}
    assert "no skill" not in texts.model_card(results, {**reasons, "figures": figures})

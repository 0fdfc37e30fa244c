"""Saves the bundle that ships with the package, and the gate that reasons are measured behind.

Run ``pool.py``, ``parts.py``, ``scores.py`` and ``detector.py`` first, then
``python experiments/train_default.py POOL MODELS``. It puts edges and tagger together with the
rules that `detector.py` chose, trains the reasons (about ten minutes on two cores), writes
``cryvision/bundles/{gate,default}`` and ``results/train_default.json``, and says how far its
figures lie from those that were there before.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import recordings
from parts import DISTILLED, Pool, edge_weights
from record import RESULTS, data_hash, rounded, say, show_log, write_result
from rules import LEAVE_SHARE
from texts import SOURCES, model_card, notice

from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description
from cryvision.config import VetoConfig
from cryvision.datasets.labelled import CLEANED_FOLDER, find_labelled_clips
from cryvision.detector_training.calibration import Calibration, gate_for
from cryvision.detector_training.pieces import NOT_LABELLED
from cryvision.detector_training.saving import save_detector
from cryvision.evaluation.skill import majority, skill_entry
from cryvision.training.clip_features import GATE_FOLDER, crying_windows
from cryvision.training.cross_validation import Division, cross_validate
from cryvision.training.options import SystemOptions
from cryvision.training.saving import save_stack
from cryvision.training.stacking import fit_stack
from cryvision.training.systems import system
from cryvision.training.training_set import class_names, folds_of

SEED = 0
N_FOLDS = 5
CHA_BAE = system("cha-bae")
BUNDLES = Path(GATE_FOLDER).parent
GATE_EDGES = "edges-without-donateacry"


def assembled(
    models: Path, names: tuple[str, str | None], out: Path, calibration: Calibration,
    veto: VetoConfig | None,
    frames: np.ndarray, skill: list[dict[str, Any]], sources: list[dict[str, str]], words: str,
) -> Bundle:  # fmt: skip
    """Put edges and a tagger together as a bundle."""
    import keras

    from cryvision.models.calibration import calibration_layer_class

    calibration_layer_class()
    edges, tagger = (
        name and keras.saving.load_model(models / f"{name}.keras", compile=False) for name in names
    )
    description = Description(
        out.name, veto=veto, skill=skill, sources=sources, seed=SEED, command=command(),
        texts={"NOTICE": words}, gate=gate_for(calibration.threshold, LEAVE_SHARE),
    )  # fmt: skip
    return save_detector(
        edges, calibration, frames, out, description, tagger=tagger, overwrite=True
    )


def gate_calibration(pool: Path) -> Calibration:
    """Calibrate the gate for clips of which half is crying, as its mixtures are not.

    It has met no phone, so nothing about it is fitted to phones: the logits are moved by the
    difference of the priors alone. It has no tagger: it is asked about clips of crying alone.
    """
    mixtures = Pool.read(pool)
    rows = mixtures.rows(GATE_EDGES)
    labels, weights = mixtures.labels[rows], edge_weights(mixtures.kinds[rows])[:, None]
    crying, known = (
        float((weights * which).sum()) for which in (labels == 1, labels != NOT_LABELLED)
    )
    return Calibration(1.0, math.log((known - crying) / crying), threshold=0.5)


def skill_of(detector: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the skill of the detector, as the fused timeline has it."""
    phones = detector["mean"]["phones"]
    figures = {
        name: {"value": found["value"], "interval": [found["low"], found["high"]]}
        for name, found in phones["fused"].items()
    }
    for name in ("events", "bouts"):
        found = phones[name]["fused"]["f1"]
        figures[f"{name[:-1]}_f1"] = {
            "value": found["value"],
            "interval": [found["low"], found["high"]],
        }
    share = phones["cry_share"]
    return [
        {
            "part": "edges", "modalities": ["sound"], "unit": "window",
            "protocol": "grouped 3-fold by phone, after the veto", "subjects": "pattern",
            "figures": figures, "chance": 0.5,
            "prior": {"no cry": 1 - share, "cry": share, "log_loss": phones["prior_log_loss"]},
        }
    ]  # fmt: skip


def train_reasons(gate: Bundle) -> tuple[dict[str, Any], Callable[..., Bundle]]:
    """Train the reasons on the cleaned corpus behind the gate.

    Returns
    -------
    facts : dict
    save : callable
        Saves them behind a detector: ``save(detector, texts)``.
    """
    corpus = recordings.data_folder() / "donateacry-corpus" / CLEANED_FOLDER
    data = find_labelled_clips(corpus)
    labels = class_names(data)
    samples, unreadable = crying_windows(data.clips, labels, CHA_BAE.settings, gate)
    if unreadable:
        raise SystemExit("\n".join(unreadable.values()))
    say("windows of the reasons")
    clip_labels = np.array([labels.index(clip.label) for clip in data.clips])
    subjects = np.array([clip.subject for clip in data.clips])
    folds = folds_of(data, labels, SystemOptions(n_folds=N_FOLDS, seed=SEED))
    division = Division(clip_labels, subjects, folds, len(labels))
    ((clips, windows),) = cross_validate(CHA_BAE.recipe, samples, division, SEED)
    skill = [
        skill_entry(
            predictions, labels, part="ensemble", modalities=("sound",),
            protocol=f"grouped {N_FOLDS}-fold by phone", subjects="pattern",
        )
        for predictions in (clips, windows)
    ]  # fmt: skip
    stack = fit_stack(CHA_BAE.recipe, samples, len(labels), SEED)
    facts = {
        "n_clips": len(clips.labels),
        "n_phones": len(set(clips.subjects.tolist())),
        "n_windows": len(windows.labels),
        "n_clips_with_a_crying_window": len(set(samples.clips.tolist())),
        "majority": majority(clips.labels),
        "skill": skill,
        "folds_sha256": data_hash(folds),
    }

    def save(detector: Bundle, texts: dict[str, str]) -> Bundle:
        description = Description(
            "default", labels, skill=skill, sources=SOURCES, seed=SEED, command=command(),
            notes="Tells when a baby cries. The reasons are an experiment without measured skill.",
            texts=texts,
        )  # fmt: skip
        return save_stack(
            stack, CHA_BAE.recipe, CHA_BAE.settings, samples, BUNDLES / "default", description,
            gate=detector, overwrite=True,
        )  # fmt: skip

    return facts, save


def command() -> str:
    return "python experiments/train_default.py"


def differences(old: Any, new: Any) -> float:
    """Largest difference between the skill figures of two results."""
    if isinstance(new, dict):
        shared = set(new) & set(old) if isinstance(old, dict) else set()
        return max((differences(old[key], new[key]) for key in shared), default=0.0)
    if isinstance(new, list) and isinstance(old, list):
        return max((differences(a, b) for a, b in zip(old, new, strict=False)), default=0.0)
    # Figures are fractions; counts of clips and windows are none.
    return abs(new - old) if isinstance(new, float) and isinstance(old, float) else 0.0


def main() -> None:
    show_log()
    started = time.time()
    pool, models = map(Path, sys.argv[1:3])
    measured = json.loads((RESULTS / "detector.json").read_text())
    shipped = measured["shipped"]
    calibration = Calibration(shipped["temperature"], shipped["bias"], shipped["enter"])
    frames = np.load(pool / "log_power.npy", mmap_mode="r")[:300]
    words = notice(recordings.data_folder() / "other-sounds" / "sounds.csv")
    unmet = [source for source in SOURCES if "donateacry" not in source["name"]]
    gate = assembled(
        models, (GATE_EDGES, None), BUNDLES / "gate",
        gate_calibration(pool), None, frames, [], unmet, words,
    )  # fmt: skip
    say("gate")
    reasons, save = train_reasons(gate)
    with tempfile.TemporaryDirectory() as folder:
        detector = assembled(
            models, ("edges-all-0", DISTILLED), Path(folder) / "detector", calibration,
            VetoConfig(**shipped["veto"]), frames, skill_of(measured), SOURCES, words,
        )  # fmt: skip
        card = model_card(measured, reasons["skill"][0])
        bundle = save(detector, {"NOTICE": words, "MODEL_CARD.md": card})
    figures: dict[str, Any] = {"detector": detector.skill[0]["figures"], "reasons": reasons}
    before = RESULTS / "train_default.json"
    if before.exists():
        old = json.loads(before.read_text())
        figures["largest_difference_from_the_run_before"] = max(
            differences(old.get(key, {}), rounded(figures[key])) for key in ("detector", "reasons")
        )
    sizes = {path.name: path.stat().st_size for path in sorted(bundle.folder.iterdir())}
    write_result(
        "train_default",
        SEED,
        {**figures, "bytes": sizes, "minutes": (time.time() - started) / 60},
    )


if __name__ == "__main__":
    main()

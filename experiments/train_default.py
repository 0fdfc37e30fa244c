"""Trains the bundle that ships with the package, and the gate that reasons are measured behind.

Run ``python experiments/train_default.py``; it takes about 20 minutes on two cores, writes
``cryvision/bundles/{gate,default}`` and ``results/train_default.json``, and says how far its
figures lie from those that were there before.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import recordings
from detector_windows import SHARES, added_windows, real_windows
from record import RESULTS, data_hash, rounded, say, write_result
from texts import MODEL_CARD, NOTICE, SOURCES

from cryvision.bundle import Bundle
from cryvision.learning.audio_only import GATE_FOLDER
from cryvision.learning.clip_windows import crying_windows
from cryvision.learning.crossvalidation import cross_validate, majority, skill_entry
from cryvision.learning.datasets import CLEANED_FOLDER, find_labelled_clips
from cryvision.learning.decisions import THRESHOLDS, Calibration, calibrate, cross_fitted
from cryvision.learning.detection import (
    detector_skill,
    out_of_fold_logits,
    save_detector,
    subject_folds,
)
from cryvision.learning.saving import save_stack
from cryvision.learning.stack_training import class_names, folds_of
from cryvision.learning.stacking import fit_stack
from cryvision.learning.systems import system
from cryvision.learning.training import fit_detector
from cryvision.learning.windows import Windows, concatenate

SEED = 0
N_FOLDS = 5
CHA_BAE = system("cha-bae")
BUNDLES = Path(GATE_FOLDER).parent
GATE_SHARES = {name: share for name, share in SHARES.items() if "donateacry" not in name}


def for_even_shares(windows: Windows, logits: np.ndarray) -> Calibration:
    """Calibrate, with the threshold at which the mean of both recalls is best.

    The gate serves recordings of which half is crying, and ESC-10 has little of it: the threshold
    with the best F1 there leaves many a crying clip without a window.
    """
    from sklearn.metrics import roc_curve

    found = calibrate(windows, logits)
    false, true, thresholds = roc_curve(windows.cry >= 0.5, found.probabilities(logits))
    best = float(np.clip(thresholds[np.argmax(true - false)], THRESHOLDS[0], THRESHOLDS[-1]))
    return replace(found, threshold=best)


def train_detector(
    windows: Windows,
    own: Windows,
    out: Path,
    name: str,
    shares: dict[str, float],
    protocol: str,
    found_by: Callable[[Windows, np.ndarray], Calibration] = calibrate,
) -> Bundle:
    """Measure out of fold, calibrate, train on everything, save."""
    folds = subject_folds(own, N_FOLDS, SEED)
    logits = out_of_fold_logits(windows, len(own), folds, shares, SEED, say)
    skill = detector_skill(
        own, cross_fitted(own, logits, folds), protocol=protocol, subjects="pattern"
    )
    say(f"{name}: {skill['figures']}")
    return save_detector(
        fit_detector(windows, shares, SEED),
        found_by(own, logits),
        own,
        out,
        name=name,
        skill=[skill],
        sources=[
            source for source in SOURCES if name == "detector" or "donate" not in source["name"]
        ],
        seed=SEED,
        overwrite=True,
        command=command(),
        texts={"NOTICE": NOTICE},
    )


def train_reasons(detector: Bundle, gate: Bundle) -> tuple[dict[str, Any], Bundle]:
    """Train the reasons on the cleaned corpus behind the gate, and save the default bundle."""
    corpus = recordings.data_folder() / "donateacry-corpus" / CLEANED_FOLDER
    data = find_labelled_clips(corpus)
    labels = class_names(data)
    samples, unreadable = crying_windows(data.clips, labels, CHA_BAE.settings, gate)
    if unreadable:
        raise SystemExit("\n".join(unreadable.values()))
    clip_labels = np.array([labels.index(clip.label) for clip in data.clips])
    subjects = np.array([clip.subject for clip in data.clips])
    folds = folds_of(data, labels, N_FOLDS, SEED)
    clips, windows = cross_validate(
        CHA_BAE.recipe, samples, clip_labels, subjects, folds, len(labels), SEED, say=say
    )
    skill = [
        skill_entry(
            measured, labels, part="ensemble", modalities=("sound",),
            protocol=f"grouped {N_FOLDS}-fold by phone", subjects="pattern",
        )
        for measured in (clips, windows)
    ]  # fmt: skip
    stack = fit_stack(CHA_BAE.recipe, samples, len(labels), SEED, say=say)
    card = MODEL_CARD.format(
        **{f"detector_{k}": v["value"] for k, v in detector.skill[0]["figures"].items()},
        **{f"reason_{k}": v["value"] for k, v in skill[0]["figures"].items()},
        prior_log_loss=skill[0]["prior"]["log_loss"],
    )
    bundle = save_stack(
        stack, CHA_BAE.recipe, CHA_BAE.settings, samples, labels, BUNDLES / "default",
        seed=SEED, skill=skill, corpus="donateacry", gate=detector, overwrite=True,
        name="default", sources=SOURCES, command=command(),
        notes="Tells when a baby cries. The reasons are an experiment without measured skill.",
        texts={"NOTICE": NOTICE, "MODEL_CARD.md": card},
    )  # fmt: skip
    facts = {
        "n_clips": len(clips.labels),
        "n_phones": len(set(clips.subjects.tolist())),
        "n_windows": len(windows.labels),
        "n_clips_with_a_crying_window": len(set(samples.clips.tolist())),
        "majority": majority(clips.labels),
        "skill": skill,
        "folds_sha256": data_hash(folds),
    }
    return facts, bundle


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
    started = time.time()
    donateacry, esc10 = recordings.donateacry(), recordings.esc10()
    own, esc_own = real_windows(donateacry), real_windows(esc10)
    added = added_windows(donateacry, esc10, SEED)
    say(f"windows {(time.time() - started) / 60:.1f} min")
    of_phones = np.char.startswith(added.source.astype(str), "donateacry")
    gate = train_detector(
        concatenate([esc_own, added[~of_phones]]),
        esc_own,
        BUNDLES / "gate",
        "gate",
        GATE_SHARES,
        f"grouped {N_FOLDS}-fold by recording, ESC-10, labels of whole clips",
        for_even_shares,
    )
    with tempfile.TemporaryDirectory() as folder:
        detector = train_detector(
            concatenate([own, esc_own, added]),
            own,
            Path(folder) / "detector",
            "detector",
            SHARES,
            f"grouped {N_FOLDS}-fold by phone",
        )
        reasons, bundle = train_reasons(detector, gate)
    figures = {
        "detector": detector.skill[0]["figures"],
        "detector_gate": vars(detector.gate),
        "gate": gate.skill[0]["figures"],
        "reasons": reasons,
    }
    before = RESULTS / "train_default.json"
    if before.exists():
        old = json.loads(before.read_text())
        figures["largest_difference_from_the_run_before"] = max(
            differences(old.get(key, {}), rounded(figures[key]))
            for key in ("detector", "gate", "reasons")
        )
    sizes = {path.name: path.stat().st_size for path in sorted(bundle.folder.iterdir())}
    write_result(
        "train_default",
        SEED,
        {
            **figures,
            "bytes": sizes,
            "data_sha256": data_hash([own.inputs, own.cry]),
            "minutes": (time.time() - started) / 60,
        },
    )


if __name__ == "__main__":
    main()

"""What altered copies do to a figure when they are made before the division, and after it.

Run ``python experiments/augmentation.py`` (about ten minutes on two cores); it writes
``results/augmentation.json``. Classifiers, clips and kinds of copies are those of the column
``leak-augment`` of ``cha_bae.py``; here phones are kept apart, and copies are made of training
clips alone.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from published import (
    FOUR_CLASSES,
    figure_of,
    four_classes,
    material,
    out_of_fold,
    summary,
)
from record import say, write_result

from cryvision.augmentation.variation import Variation
from cryvision.datasets.protocols import GROUPED
from cryvision.training.branches import autoencoder_branch, baseline_branch
from cryvision.training.clip_features import crying_windows
from cryvision.training.systems import CHA_BAE_SOUNDS
from cryvision.training.training_set import altered_copies

SEEDS = (0, 1, 2)
N_COPIES = 3
"""Of each clip: of 105 clips they make 420, about as many as the leak has."""

SOUNDS = {"mfcc": CHA_BAE_SOUNDS["mfcc"]}
SYSTEMS = {
    "random-forest-mfcc": baseline_branch("random-forest", "mfcc"),
    "dnn-mfcc": baseline_branch("dnn", "mfcc"),
    "autoencoder-dnn-mfcc": autoencoder_branch("mfcc"),
}


def main() -> None:
    started = time.time()
    runs = {kind: {name: [] for name in SYSTEMS} for kind in ("as_recorded", "with_copies")}
    for seed in SEEDS:
        given = material(GROUPED, four_classes(seed), SOUNDS, seed)
        copies = altered_copies(
            given.data,
            N_COPIES,
            given.samples,
            lambda clips: crying_windows(clips, FOUR_CLASSES, SOUNDS, None)[0],
        )
        subjects = np.array([clip.subject for clip in given.data.clips])
        more = replace(copies, subjects=subjects[copies.clips.astype(int)])
        for kind, altered in (("as_recorded", None), ("with_copies", more)):
            for name, branch in SYSTEMS.items():
                found = out_of_fold(branch, given, seed, altered=altered)
                runs[kind][name].append(found)
                say(f"seed {seed}, {kind}, {name}: {figure_of(found, 'balanced_accuracy'):.3f}")
    write_result(
        Path(__file__).stem,
        list(SEEDS),
        {
            "protocol": GROUPED.summary,
            "classes": list(FOUR_CLASSES),
            "chance": 1 / len(FOUR_CLASSES),
            "copies_of_each_training_clip": N_COPIES,
            "variation": vars(Variation()),
            **{
                kind: {name: summary(found, is_clean=True) for name, found in of.items()}
                for kind, of in runs.items()
            },
            "minutes": (time.time() - started) / 60,
        },
    )


if __name__ == "__main__":
    main()

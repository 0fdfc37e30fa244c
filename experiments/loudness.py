"""Measures what the path of the edges for the level of a step gains, on phones not trained on.

Run ``python experiments/loudness.py POOL MODELS`` after `pool.py` and `parts.py`; it writes
``results/loudness.json``. `cryvision.models.frame_network.LOUDNESS` is chosen by it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pool import cell_of, kept_out, library
from record import say, write_result
from rules import sigmoid
from scores import N_FOLDS, onnx_of

from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.pieces import padded
from cryvision.detector_training.skill import window_means
from cryvision.evaluation.metrics import auc
from cryvision.inputs.logmel import log_mel
from cryvision.models.frame_network import EDGES, LOUDNESS

WEIGHTS = (0.0, 0.5, 1.0, LOUDNESS, 1.75, 2.5)


def labels_of(sound: LabelledSound, n_steps: int) -> np.ndarray:
    cry = np.zeros(n_steps)
    for interval in sound.cry:
        first, last = (round(t / EDGES.hop_seconds) for t in (interval.start_s, interval.end_s))
        cry[first:last] = 1
    return cry


def aucs_of(network: Path, sounds: list[LabelledSound]) -> dict[str, float]:
    """AUC of windows of 0.5 s for each weight; the path is a term of the logits, so two do."""
    without, whole = (onnx_of(network, weight) for weight in (0.0, 1.0))
    truth, scores = [], {weight: [] for weight in WEIGHTS}
    for sound in sounds:
        frames = {"logmel": padded(log_mel(sound.samples, EDGES).log_power)[None]}
        base, with_path = (net.outputs(frames)["logits"][0, :, 0] for net in (without, whole))
        truth.append(window_means(labels_of(sound, len(base))) >= 0.5)
        for weight in WEIGHTS:
            scores[weight].append(window_means(sigmoid(base + weight * (with_path - base))))
    cry = np.concatenate(truth).astype(int)
    return {f"{weight:g}": auc(cry, np.concatenate(scores[weight])) for weight in WEIGHTS}


def main() -> None:
    pool, models = map(Path, sys.argv[1:3])
    phones = [sound for sound in library(pool).cry if sound.source == "donateacry"]
    folds = []
    for fold in range(N_FOLDS):
        out = kept_out(0, fold, N_FOLDS)
        tested = [sound for sound in phones if out[cell_of(sound.subject)]]
        folds.append(aucs_of(models / f"edges-0-{fold}-{N_FOLDS}.keras", tested))
        say(f"fold {fold}: {folds[-1]}")
    write_result(
        Path(__file__).stem,
        0,
        {
            "protocol": f"{N_FOLDS} folds by phone, AUC of windows of 0.5 s in donateacry-corpus, "
            "mean of the folds, by the weight of the level of a step",
            "shipped": LOUDNESS,
            "auc": {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]},
            "folds": folds,
        },
    )


if __name__ == "__main__":
    main()

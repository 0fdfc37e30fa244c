"""Measures what the path of the edges for the level of a step gains, on phones not trained on.

Run ``python experiments/loudness.py POOL MODELS`` after `pool.py` and `parts.py`; it writes
``results/loudness.json``. `shipped_networks.LOUDNESS` is chosen by it. Beside it
stands what more context would gain: how loud a step is beside the loudest of some seconds before
and behind it, which the network, with 0.2 s ahead, cannot know.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from pool import cell_of, kept_out, library
from record import RESULTS, say, write_result
from rules import sigmoid
from scores import N_FOLDS, onnx_of
from shipped_networks import LOUDNESS

from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.pieces import padded
from cryvision.detector_training.skill import window_means
from cryvision.evaluation.metrics import auc
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.logmel import log_mel
from cryvision.models.frame_network import EDGES

WEIGHTS = (0.0, 0.5, 1.0, LOUDNESS, 1.75, 2.5)
CONTEXTS_S = ((2.0, 0.2), (10.0, 0.2), (2.0, 2.0), (5.0, 5.0))
LOGITS_PER_DB, USUAL_DB = 0.1, -8.0
"""With more context, what each dB below the loudest in it costs, from so many dB on."""
LEAST_DBFS = -70.0


def labels_of(sound: LabelledSound, n_steps: int) -> np.ndarray:
    cry = np.zeros(n_steps)
    for interval in sound.cry:
        first, last = (round(t / EDGES.hop_seconds) for t in (interval.start_s, interval.end_s))
        cry[first:last] = 1
    return cry


def below_loudest(level_dbfs: np.ndarray, before_s: float, behind_s: float) -> np.ndarray:
    """How far each step lies below the loudest of its surroundings; dB, at most 0."""
    before, behind = (round(t / EDGES.hop_seconds) for t in (before_s, behind_s))
    around = np.pad(level_dbfs, (before, behind), constant_values=LEAST_DBFS)
    return level_dbfs - np.lib.stride_tricks.sliding_window_view(around, before + behind + 1).max(1)


def aucs_of(
    network: Path, sounds: list[LabelledSound], temperature: float, bias: float
) -> dict[str, float]:
    """AUC of windows of 0.5 s for each weight; the path is a term of the logits, so two do."""

    def window_scores(logits: np.ndarray) -> np.ndarray:
        return window_means(sigmoid(logits / temperature + bias))

    without, whole = (onnx_of(network, weight) for weight in (0.0, 1.0))
    truth: list[np.ndarray] = []
    scores: dict[str, list[np.ndarray]] = defaultdict(list)
    for sound in sounds:
        heard = log_mel(sound.samples, EDGES)
        frames = {"logmel": padded(heard.log_power)[None]}
        base, with_path = (net.outputs(frames)["logits"][0, :, 0] for net in (without, whole))
        truth.append(window_means(labels_of(sound, len(base))) >= 0.5)
        for weight in WEIGHTS:
            scores[f"{weight:g}"].append(window_scores(base + weight * (with_path - base)))
        power = np.pad(heard.mean_square, (0, 2 * len(base) - len(heard))).reshape(-1, 2).mean(1)
        level = np.maximum(mean_square_dbfs(power), LEAST_DBFS)
        shipped = base + LOUDNESS * (with_path - base)
        for before_s, behind_s in CONTEXTS_S:
            more = LOGITS_PER_DB * (below_loudest(level, before_s, behind_s) - USUAL_DB)
            name = f"{LOUDNESS:g}, and {before_s:g} s before, {behind_s:g} s behind"
            scores[name].append(window_scores(shipped + more))
    cry = np.concatenate(truth).astype(int)
    return {name: auc(cry, np.concatenate(values)) for name, values in scores.items()}


def main() -> None:
    pool, models = map(Path, sys.argv[1:3])
    phones = [sound for sound in library(pool).cry if sound.source == "donateacry"]
    shipped = json.loads((RESULTS / "detector.json").read_text())["shipped"]
    folds = []
    for fold in range(N_FOLDS):
        out = kept_out(0, fold, N_FOLDS)
        tested = [sound for sound in phones if out[cell_of(sound.subject)]]
        network = models / f"edges-0-{fold}-{N_FOLDS}.keras"
        folds.append(aucs_of(network, tested, shipped["temperature"], shipped["bias"]))
        say(f"fold {fold}: {folds[-1]}")
    write_result(
        Path(__file__).stem,
        0,
        {
            "protocol": f"{N_FOLDS} folds by phone, AUC of windows of 0.5 s in donateacry-corpus, "
            "mean of the folds, by the weight of the level of a step; with more context, "
            f"{LOGITS_PER_DB:g} logits for each dB below the loudest in it",
            "shipped": LOUDNESS,
            "auc": {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]},
            "folds": folds,
        },
    )


if __name__ == "__main__":
    main()

"""Counts the weights of the published networks, and times each on one window.

Run ``python experiments/systems.py`` (a minute); it writes ``results/systems.json``. Nine classes,
published widths, random weights: neither figure depends on their values.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from record import write_result

from cryvision.inputs.audio import n_features
from cryvision.training.branches import Rows
from cryvision.training.systems import SYSTEMS

SEED = 0
N_CLASSES = 9
N_TIMED = 5


def main() -> None:
    found = {}
    for name, system in SYSTEMS.items():
        if system.network is None:
            continue
        (config,) = system.settings.values()
        shape = (config.n_frames, n_features(config))
        windows = np.random.default_rng(SEED).normal(size=(N_CLASSES, *shape))
        rows = Rows(windows, np.arange(N_CLASSES), np.ones(N_CLASSES), np.arange(N_CLASSES))
        model, ready = system.network.untrained(rows, N_CLASSES, SEED)
        one = ready.inputs[:1]
        model(one, training=False)
        started = time.process_time()
        for _ in range(N_TIMED):
            model(one, training=False)
        spent_s = (time.process_time() - started) / N_TIMED
        found[name] = {
            "input": list(shape),
            "weights": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
            "cpu_ms_per_window": 1000 * spent_s,
        }
        print(name, found[name])
    write_result(Path(__file__).stem, SEED, {"n_classes": N_CLASSES, "systems": found})


if __name__ == "__main__":
    main()

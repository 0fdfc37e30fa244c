"""How soon and how rightly a monitor reports crying of phones and recordings not trained on.

Run ``python experiments/live_held_out.py POOL MODELS`` after `pool.py` and `parts.py`: for each
fold of division 0 that has its networks in MODELS, they become a bundle with the rules that ship,
and a monitor runs on what the fold left out. It writes ``results/live_held_out.json``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pool import cell_of, kept_out, library
from record import RESULTS, say, write_result
from texts import SOURCES
from train_default import assembled

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import Calibration

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import live

N_FOLDS = 3
LOOPS_PER_FOLD = 24


def main() -> None:
    pool, models = map(Path, sys.argv[1:3])
    found = library(pool)
    frames = np.load(pool / "log_power.npy", mmap_mode="r")[:300]
    shipped = json.loads((RESULTS / "detector.json").read_text())["shipped"]
    calibration = Calibration(shipped["temperature"], shipped["bias"], shipped["enter"])
    folds = []
    n_labelled = 0
    delays: list[float] = []
    loops: dict[str, list[float]] = defaultdict(list)
    classes: dict[str, Any] = defaultdict(lambda: {"hours": 0.0, "alerts": 0, "events": 0})
    for fold in range(N_FOLDS):
        names = f"edges-0-{fold}-{N_FOLDS}", f"tagger-0-{fold}-{N_FOLDS}"
        if not all((models / f"{name}.keras").exists() for name in names):
            continue
        out = kept_out(0, fold, N_FOLDS)
        crying = [
            (sound.samples, [(i.start_s, i.end_s) for i in sound.cry])
            for sound in found.cry
            if sound.source == "donateacry" and out[cell_of(sound.subject)]
        ]
        others = defaultdict(list)
        for sound in found.other:
            if out[cell_of(sound.subject)]:
                others[sound.source].append(sound.samples)
        with tempfile.TemporaryDirectory() as folder:
            bundle = assembled(
                models, names, Path(folder) / "fold", calibration, VetoConfig(**shipped["veto"]),
                frames, [], SOURCES, "",
            ).keeping_models()  # fmt: skip
            pushed = live.pushed_live(bundle, crying)
            n_labelled += pushed["labelled_onsets"]
            delays += pushed["delays"]
            for kind, ones in live.loop_delays(
                bundle, crying, others["household_noise"], LOOPS_PER_FOLD
            ).items():
                loops[kind] += ones
            for kind, one in live.false_alerts(bundle, others).items():
                for name, value in one.items():
                    classes[kind][name] += value
        folds.append(fold)
        say(f"fold {fold}: {len(crying)} clips that cry, {sum(map(len, others.values()))} others")
    write_result(
        Path(__file__).stem,
        0,
        {
            "protocol": f"folds {folds} of {N_FOLDS} by phone, speaker or recording (division 0): "
            "networks that were not trained on them, with the rules that ship, which all folds "
            "chose together",
            "onset_reports": live.summed_onsets(n_labelled, delays),
            "looped_crying": live.summed_loops(loops),
            "false_alerts": live.summed_classes(dict(classes)),
        },
    )


if __name__ == "__main__":
    main()

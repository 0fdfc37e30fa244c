"""One small training of each published system on drawn clips, and a table of `score`.

Run ``PYTHONPATH=. python tests/golden_trainings.py`` to write ``tests/data/golden_trainings.json``
anew, and say in the commit why results change. It uses public names alone, so that the file can
also be written with the package of an earlier commit: ``PYTHONPATH=EARLIER``.
"""

from __future__ import annotations

import csv
import json
import tempfile
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from golden import RATE_HZ, drawn_clip

GOLDEN = Path(__file__).parent / "data" / "golden_trainings.json"
SYSTEMS = ("cha-bae", "deepinfant-v2", "tinytoes")
SHORT_EPOCHS = 2
N_SUBJECTS, N_FOLDS = 4, 2
NOT_RESULTS = ("path", "seconds_spent", "bundle_sha256", "settings_sha256")
"""Columns of a table that change with the folder, the machine or the version."""


def write_clips(folder: Path) -> None:
    """Write two clips of each subject, one a class."""
    for number in range(2 * N_SUBJECTS):
        name = "high" if number % 2 else "low"
        path = folder / name / f"s{number // 2}-{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        pcm = np.round(drawn_clip(4 * number) * 32_767).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(pcm.tobytes())


def training(name: str, clips: Path) -> dict[str, Any]:
    """Train a system shortly; give its figures on unseen subjects, and what it says of a clip."""
    import cryvision
    from cryvision.training.systems import system

    chosen = system(name)
    if name != "cha-bae":
        (branch,) = chosen.recipe
        network = replace(branch.fit.__self__, epochs=SHORT_EPOCHS, width=4)
        chosen = replace(chosen, recipe=(replace(branch, fit=network.fit),))
    with tempfile.TemporaryDirectory() as folder:
        bundle = cryvision.train_audio_only(
            clips, Path(folder, "out"), arch=chosen, n_folds=N_FOLDS, subject_pattern=r"(s\d)-"
        )
        result = cryvision.classify(clips / "low" / "s0-0.wav", bundle=bundle)
    figures = [entry["figures"] for entry in bundle.skill if entry["part"] != "edges"]
    return {"figures": figures, "probabilities": result.probabilities}


def table(clips: Path) -> list[dict[str, str]]:
    """Score the clips into a table; give its columns of results."""
    import cryvision

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "table.csv")
        cryvision.score(clips, out, workers=1)
        with out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in NOT_RESULTS} for row in rows]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder))
        found = {"score": table(Path(folder))}
        found |= {name: training(name, Path(folder)) for name in SYSTEMS}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

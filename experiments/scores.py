"""Runs edges and tagger of each fold over the recordings that they were not trained on.

Run ``python experiments/scores.py POOL MODELS OUT``; `detector.py` judges what it writes. A clip is
scored through the same frames and the same windows as in use.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import probes
from pool import Library, _added, cell_of, kept_out, library
from record import say
from rules import Scored

from cryvision.augmentation.effects import add_noise
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.pieces import padded
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.logmel import SILENCE, log_mel, model_input
from cryvision.models.frame_network import EDGES, LOUDNESS_LAYER
from cryvision.models.tagger import CONTEXT
from cryvision.runtime.loading import OnnxModel

N_DIVISIONS, N_FOLDS = 3, 3
NOISY_DB = (20, 10, 5, 0)
QUIET_DB = (-10, -20, -30, -40)
MIXES_PER_CELL = 12
MIX_SECONDS = 10.0


def onnx_of(path: Path, loudness: float | None = None) -> OnnxModel:
    """Load a Keras file as onnxruntime runs it, which takes a fraction of the time.

    The edges' path for the level of a step may be given another weight.
    """
    import keras

    from cryvision.export.onnx.parts import part_files
    from cryvision.models.calibration import calibration_layer_class

    calibration_layer_class()
    model = keras.saving.load_model(path, compile=False)
    if loudness is not None:
        model.get_layer(LOUDNESS_LAYER).set_weights([np.full((1, 1, 1), loudness, np.float32)])
    frames = np.random.default_rng(0).normal(size=(2, *LENGTHS[path.name.split("-")[0]], 64))
    with tempfile.TemporaryDirectory() as folder:
        files, _ = part_files(model, Path(folder), "part", {"logmel": frames.astype("f4")})
        return OnnxModel(files["onnx"].read_bytes(), path)


LENGTHS = {"edges": (150,), "tagger": (CONTEXT.window_frames,)}


class Networks:
    """An edges network and a tagger that were trained together."""

    def __init__(self, edges: Path, tagger: Path) -> None:
        self.edges, self.tagger = onnx_of(edges), onnx_of(tagger)

    def score(self, sound: LabelledSound) -> Scored:
        frames = log_mel(sound.samples, EDGES)
        n_steps = -(-len(frames) // 2)
        power = np.pad(frames.mean_square, (0, 2 * n_steps - len(frames))).reshape(-1, 2).mean(1)
        bare = replace(sound, samples=np.empty(0, np.float32))
        return Scored(
            bare,
            len(sound.samples) / SAMPLE_RATE_HZ,
            self.edges.outputs({"logmel": padded(frames.log_power)[None]})["logits"][0, :, 0],
            mean_square_dbfs(power),
            self.tags(frames.log_power),
        )

    def tags(self, log_power: np.ndarray) -> np.ndarray:
        windows = tag_windows(log_power)
        found = [
            self.tagger.predict({"logmel": model_input(windows[i : i + 128], CONTEXT)})
            for i in range(0, len(windows), 128)
        ]
        return np.concatenate(found) if found else np.empty((0, 10), np.float32)


def tag_windows(log_power: np.ndarray) -> np.ndarray:
    """Windows of a clip, shape (n, 100, n_mels): each ends a hop after the one before."""
    padded = np.pad(
        log_power, ((CONTEXT.window_frames - CONTEXT.hop_frames, 0), (0, 0)),
        constant_values=SILENCE,
    )  # fmt: skip
    view = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT.window_frames, axis=0)
    return view[:: CONTEXT.hop_frames].swapaxes(1, 2)


def talk_over_music(found: Library) -> list[LabelledSound]:
    """Mix speech over music of the same cell, 0 to 15 dB above it."""
    mixes = []
    for cell in range(15):
        here = [s for s in found.other if cell_of(s.subject) == cell]
        talk = [s for s in here if s.source in ("adult_speech", "child_speech")]
        music = [s for s in here if s.source == "music"]
        rng = np.random.default_rng(cell)
        for number in range(MIXES_PER_CELL if talk and music else 0):
            n = round(MIX_SECONDS * SAMPLE_RATE_HZ)
            speech, tune = (sounds[rng.integers(len(sounds))] for sounds in (talk, music))
            mixed = _added(
                np.resize(speech.samples, n), np.resize(tune.samples, n), rng.uniform(0, 15)
            )
            mixed *= 0.5 / max(np.abs(mixed).max(), 1e-6)
            # The name of the speaker tells the cell.
            mixes.append(
                LabelledSound(mixed.astype(np.float32), (), speech.subject, "talk_over_music",
                              f"mix-{cell}-{number}")
            )  # fmt: skip
    return mixes


@lru_cache(maxsize=1)
def household() -> np.ndarray:
    """A minute of fan, hum and clatter of families that nothing was trained on."""
    rng, n = np.random.default_rng(5), 60 * SAMPLE_RATE_HZ
    parts = [probes.noise(rng, n), 0.5 * probes.hum(rng, n), 0.7 * probes.clicks(rng, n)]
    return np.sum([p / max(np.sqrt(np.mean(p**2)), 1e-9) for p in parts], axis=0).astype("f4")


def altered(sound: LabelledSound) -> dict[str, np.ndarray]:
    """Give copies of a clip of a phone: under noises, and quieter."""
    rng = np.random.default_rng(len(sound.samples))
    n = len(sound.samples)
    white = rng.standard_normal(n)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    noises = {"white": white, "pink": pink, "household": household()}
    copies = {
        f"{kind} {snr} dB": add_noise(sound.samples, noise, snr, rng)
        for kind, noise in noises.items()
        for snr in (NOISY_DB if kind == "household" else (10,))
    }
    peak = max(float(np.abs(sound.samples).max()), 1e-6)
    for level in QUIET_DB:
        copies[f"peak {level} dBFS"] = (sound.samples * (10 ** (level / 20) / peak)).astype("f4")
    return copies


def main() -> None:
    pool, models, out = map(Path, sys.argv[1:4])
    only = sys.argv[4:]
    out.mkdir(parents=True, exist_ok=True)
    found = library(pool)
    sounds = [*found.cry, *found.other, *talk_over_music(found)]
    started = time.time()
    jobs = {
        f"{d}-{f}": (f"{d}-{f}-{N_FOLDS}", f"{d}-{f}-{N_FOLDS}")
        for d in range(N_DIVISIONS)
        for f in range(N_FOLDS)
    }
    jobs |= {f"without-{c}": (f"without-{c}",) * 2 for c in ("donateacry", "esc10", "other-sounds")}
    for name, (edges, tagger) in jobs.items():
        target = out / f"{name}.pickle"
        files = models / f"edges-{edges}.keras", models / f"tagger-{tagger}.keras"
        missing = not all(file.exists() and file.stat().st_size for file in files)
        if target.exists() or missing or (only and name not in only):
            continue
        networks = Networks(*files)
        if name.startswith("without"):
            tested = [i for i, s in enumerate(sounds) if _corpus(s) == name.split("-", 1)[1]]
        else:
            division, fold = map(int, name.split("-"))
            out_cells = kept_out(division, fold)
            tested = [i for i, s in enumerate(sounds) if out_cells[cell_of(s.subject)]]
        scored = [networks.score(sounds[i]) for i in tested]
        if name.startswith("0-"):
            for one, i in zip(scored, tested, strict=True):
                if sounds[i].source == "donateacry":
                    for kind, samples in altered(sounds[i]).items():
                        copy = LabelledSound(samples, (), "", "", "")
                        again = networks.score(copy)
                        one.extra[kind] = (again.edges, again.tags)
        target.write_bytes(pickle.dumps(scored))
        say(f"{name}: {len(scored)} clips, {(time.time() - started) / 60:.1f} min")


def _corpus(sound: LabelledSound) -> str:
    if sound.source == "donateacry" or sound.source.startswith("digits"):
        return sound.source
    return "esc10" if sound.source.startswith("esc10") else "other-sounds"


if __name__ == "__main__":
    main()

"""Measures the multimodal training: what the fusion adds, what is left where one part is missing.

Run ``python experiments/fusion.py [videos] [arrays] [heads]``; each writes
``results/fusion_<name>.json``. Nothing in it was recorded:

- ``videos``: four classes that only sound and picture together tell apart, from
  ``make_videos.py``, through `cryvision.train` and `cryvision.classify`. Beside the multimodal
  bundle stand two that were trained on the same clips with the sound, or the pictures, taken out.
- ``arrays``: three weak sets of features, one of them missing in three rows of ten, through
  `cryvision.train_arrays` and `Bundle.predict_arrays` on rows that were held out.
- ``heads``: CPU time of training a head for 20 epochs on cached embeddings of 400 images, and with
  the backbone in the loop. The backbone, a ResNet-50 of random weights, is timed on few images and
  scaled up; its weights make no difference to its speed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import make_videos
import numpy as np
from record import data_hash, say, show_log, write_result

from cryvision.bundle import Bundle
from cryvision.config import FaceConfig
from cryvision.evaluation import metrics
from cryvision.inference.clip import classify
from cryvision.inputs.media import find_ffmpeg
from cryvision.training.train import train, train_arrays

SEED = 0
N_FOLDS = 3
N_SUBJECTS, N_CLIPS, CLIP_SECONDS = 24, 2, 2.5
N_UNSEEN_SUBJECTS = 8
KEPT_STREAMS = {"both": [], "sound": ["-vn"], "face": ["-an"]}
"""What ffmpeg is told to leave out."""

SQUEEZENET = "models/squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
"""Trained weights of a small backbone, below the folder of recordings."""

N_ROWS, N_UNSEEN_ROWS, N_PERSONS = 1200, 600, 40
SETS = {"voice": 6, "face-table": 8, "movement": 5}
"""Own arrays: their names and widths."""

SHIFT, PERSON_SPREAD, MISSING_SHARE = 0.75, 0.3, 0.3
"""How far the classes lie apart in each set, in standard deviations; how much persons differ; and
in which share of rows the last set is missing."""

N_IMAGES, N_EPOCHS, N_TIMED, BATCH = 400, 20, 16, 8


def face_config() -> FaceConfig:
    """The middle of each tenth picture, through SqueezeNet: with trained weights if there are."""
    weights = Path(os.environ.get("CRYVISION_DATA", ""), SQUEEZENET)
    return FaceConfig(
        mode="center",
        crop_size_px=64,
        embed_every_frames=10,
        backbone="squeezenet",
        backbone_weights=str(weights) if weights.is_file() else "random",
        embedding_width=512,
    )


def without_streams(clips: list[Path], source: Path, out: Path, options: list[str]) -> None:
    """Copy clips without their sound, or without their pictures; nothing is coded anew."""
    for clip in clips:
        place = out / clip.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        command = [find_ffmpeg(), "-v", "error", "-i", str(clip), "-c", "copy", *options]
        subprocess.run([*command, str(place)], check=True)


def make_three_ways(out: Path, n_subjects: int, n_clips: int, seed: int) -> dict[str, Path]:
    """Make a set of videos, and copies with the sound alone and the pictures alone."""
    folders = {name: out / name for name in KEPT_STREAMS}
    clips = make_videos.make(folders["both"], n_subjects, n_clips, CLIP_SECONDS, seed)
    for name, options in KEPT_STREAMS.items():
        if options:
            without_streams(clips, folders["both"], folders[name], options)
    return folders


def clip_figures(bundle: Bundle, modalities: set[str]) -> dict[str, Any]:
    """What the bundle knows of its skill by clip, with these modalities."""
    entry = next(
        e for e in bundle.skill if set(e["modalities"]) == modalities and e["unit"] == "clip"
    )
    return {**entry["figures"], "chance": entry["chance"]}


def classified(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Classify clips of subjects that no training has seen; how many of each class are right."""
    clips = sorted(folder.rglob("*.mp4"))
    results = [classify(clip, bundle, label_policy="always") for clip in clips]
    true = np.array([bundle.labels.index(clip.parent.name) for clip in clips])
    predicted = np.array([bundle.labels.index(result.label) for result in results])
    table = np.array([[r.probabilities[label] for label in bundle.labels] for r in results])
    aucs = [metrics.auc((true == k).astype(int), table[:, k]) for k in range(len(bundle.labels))]
    return {
        "n": len(clips),
        "balanced_accuracy": metrics.balanced_accuracy(true, predicted),
        "auc": float(np.mean(aucs)),
        "modalities": sorted({" and ".join(result.modalities) for result in results}),
    }


def videos() -> dict[str, Any]:
    """Fused and single modalities, and what is left of the fused model without one of them."""
    face = face_config()
    with tempfile.TemporaryDirectory() as place:
        seen = make_three_ways(Path(place, "seen"), N_SUBJECTS, N_CLIPS, SEED)
        unseen = make_three_ways(Path(place, "unseen"), N_UNSEEN_SUBJECTS, 1, SEED + 1)
        bundles = {}
        for name, folder in seen.items():
            say(f"training on {name}")
            bundles[name] = train(
                folder, Path(place, f"bundle-{name}"), face=face, gate="none",
                subject_pattern=make_videos.SUBJECT_PATTERN, n_folds=N_FOLDS, seed=SEED,
                cache=Path(place, "cache"),
            )  # fmt: skip
        fused = bundles["both"]
        cross_validated: dict[str, Any] = {"fused": clip_figures(fused, {"sound", "face"})}
        held_out: dict[str, Any] = {"fused": classified(fused, unseen["both"])}
        for left in ("sound", "face"):
            say(f"{left} alone")
            cross_validated[left] = {
                "fused model, the other removed": clip_figures(fused, {left}),
                "model of its own": clip_figures(bundles[left], {left}),
            }
            held_out[left] = {
                "fused model, the other removed": classified(fused, unseen[left]),
                "model of its own": classified(bundles[left], unseen[left]),
            }
    random = face.backbone_weights == "random"
    return {
        "n_clips": N_SUBJECTS * N_CLIPS * 4,
        "n_subjects": N_SUBJECTS,
        "protocol": fused.skill[0]["protocol"],
        "backbone": f"SqueezeNet v1.1, {'random' if random else 'ImageNet'} weights",
        "cross_validated": cross_validated,
        "unseen_subjects": held_out,
        "demands": video_demands(cross_validated),
    }


def video_demands(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Each demand with what was found, and whether that meets it."""

    def accuracy(found: Mapping[str, Any]) -> float:
        return float(found["balanced_accuracy"]["value"])

    demands = {"fused at least 0.95": demand(accuracy(figures["fused"]), lambda v: v >= 0.95)}
    for name in ("sound", "face"):
        removed, own = (accuracy(figures[name][key]) for key in figures[name])
        demands[f"{name} alone at most 0.60"] = demand(own, lambda v: v <= 0.60)
        demands[f"without the other within 0.05 of {name} alone"] = demand(
            removed - own, lambda v: abs(v) <= 0.05
        )
    return demands


def demand(found: float, is_met: Callable[[float], bool]) -> dict[str, Any]:
    return {"found": found, "met": is_met(found)}


def draw_rows(
    rng: np.random.Generator, n: int, persons: int, first: int
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draw rows of the sets, their classes (0 and 1) and persons; the last set has holes."""
    person = np.arange(n) % persons
    label = rng.integers(0, 2, n)
    tables = {}
    for name, width in SETS.items():
        rows = (
            rng.normal(0, 1, (n, width))
            + PERSON_SPREAD * rng.normal(0, 1, (persons, width))[person]
        )
        rows[:, 0] += SHIFT * label
        tables[name] = rows
    tables[name][rng.random(n) < MISSING_SHARE] = np.nan
    return tables, label, person + first


def arrays() -> dict[str, Any]:
    """AUC on unseen persons of all sets together, and of the best single one."""
    rng = np.random.default_rng(SEED)
    tables, labels, persons = draw_rows(rng, N_ROWS, N_PERSONS, 0)
    unseen, true, _ = draw_rows(rng, N_UNSEEN_ROWS, N_PERSONS // 2, N_PERSONS)
    names = np.array(["calm", "pain"])[labels].tolist()
    aucs = {}
    with tempfile.TemporaryDirectory() as place:
        for name in ("all", *SETS):
            say(f"training on {name}")
            used = tables if name == "all" else {name: tables[name]}
            bundle = train_arrays(
                used, names, persons.tolist(), out=Path(place, name), n_folds=2, seed=SEED
            )
            predicted = bundle.predict_arrays({key: unseen[key] for key in used})[:, 1]
            finite = ~np.isnan(predicted)
            aucs[name] = {
                # A row that lacks the only set is told by nothing: half of the pairs are right.
                "all rows": metrics.auc(true, np.where(finite, predicted, 0.5)),
                "rows that have it": metrics.auc(true[finite], predicted[finite]),
                "share of rows that have it": float(finite.mean()),
            }
    best = max(aucs[name]["rows that have it"] for name in SETS)
    gain = aucs["all"]["all rows"] - best
    return {
        "n_rows": N_ROWS,
        "n_unseen_rows": N_UNSEEN_ROWS,
        "n_persons": N_PERSONS,
        "data_sha256": data_hash([*tables.values(), *unseen.values()]),
        "auc": aucs,
        "demands": {
            "gain over the best single set at least 0.03": demand(gain, lambda v: v >= 0.03)
        },
    }


def heads() -> dict[str, Any]:
    """CPU seconds with the cache and with the backbone in the loop."""
    import keras

    from cryvision.inputs.pictures.backbone import IMAGENET_MEAN_BGR
    from cryvision.inputs.pictures.embedding import Embedder
    from cryvision.training import branches
    from cryvision.training.branches import Rows, head_branch

    face = FaceConfig(backbone_weights="random")
    rng = np.random.default_rng(SEED)
    crops = rng.integers(0, 256, (N_TIMED, 224, 224, 3), np.uint8)
    embedder = Embedder(face)
    embedder.embed(crops[:1])
    embedding_s = cpu_seconds(lambda: embedder.embed(crops)) / N_TIMED * N_IMAGES

    branches.CLASSIFIER_EPOCHS = N_EPOCHS
    branches.PATIENCE_EPOCHS = N_EPOCHS
    labels = np.arange(N_IMAGES) % 4
    subjects = np.array([f"s{i % 20}" for i in range(N_IMAGES)])
    inputs = rng.normal(0, 1, (N_IMAGES, face.embedding_width)).astype(np.float32)
    rows = Rows(inputs, labels, np.ones(N_IMAGES), subjects)
    head_s = cpu_seconds(lambda: head_branch("face").fit(rows, 4, SEED))

    backbone = keras.applications.ResNet50(include_top=False, weights=None, pooling="avg")
    backbone.trainable = False
    picture = keras.Input((224, 224, 3))
    centred = keras.layers.Rescaling(1.0, offset=[-mean for mean in IMAGENET_MEAN_BGR])(picture)
    hidden = keras.layers.Dense(64, activation="relu")(backbone(centred))
    model = keras.Model(picture, keras.layers.Dense(4, activation="softmax")(hidden))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    pictures = crops[..., ::-1].astype(np.float32)
    options = {"batch_size": BATCH, "epochs": 1, "verbose": 0}
    model.fit(pictures[:BATCH], labels[:BATCH], **options)  # traced, not timed
    step_s = cpu_seconds(lambda: model.fit(pictures, labels[:N_TIMED], **options)) / N_TIMED
    loop_s = step_s * N_IMAGES * N_EPOCHS
    ratio = (embedding_s + head_s) / loop_s
    return {
        "n_images": N_IMAGES,
        "n_epochs": N_EPOCHS,
        "n_timed_images": N_TIMED,
        "backbone": "ResNet-50, random weights, timed on few images and scaled",
        "cpu_seconds": {
            "embeddings, once": embedding_s,
            "head on the cache": head_s,
            "backbone in the loop": loop_s,
        },
        "demands": {
            "cache over loop at most 1/15": demand(ratio, lambda v: v <= 1 / 15),
            "head alone over loop": demand(head_s / loop_s, lambda v: v <= 1 / 15),
        },
    }


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "videos": videos,
    "arrays": arrays,
    "heads": heads,
}


def main() -> None:
    show_log()
    names = sys.argv[1:] or list(PARTS)
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        sys.exit(f"parts are {', '.join(PARTS)}; got {', '.join(unknown)}")
    failed = []
    for name in names:
        started = time.time()
        result = PARTS[name]()
        write_result(f"fusion_{name}", SEED, {**result, "minutes": (time.time() - started) / 60})
        for what, found in result["demands"].items():
            print(f"{name}: {what}: {found['found']:.4g}, {'met' if found['met'] else 'NOT MET'}")
            failed += [] if found["met"] else [what]
    sys.exit(bool(failed))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()

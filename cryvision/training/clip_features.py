"""Labelled clips become samples: the windows of each clip that the gate calls crying."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from cryvision import __version__
from cryvision.augmentation.variation import vary
from cryvision.bundle import Bundle
from cryvision.bundle.bundle import SHIPPED
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FaceConfig, SoundConfig, to_json
from cryvision.datasets.annotated import first_problem
from cryvision.datasets.labelled import LabelledClip, donateacry_name
from cryvision.download import file_hash
from cryvision.errors import CryvisionError, MediaError
from cryvision.inference.branch_inputs import FACE, BranchInputs
from cryvision.inference.detector import CryDetector
from cryvision.inference.face_stream import FaceStream
from cryvision.inference.gated_windows import SoundBranchWindows
from cryvision.inputs import media
from cryvision.inputs.pictures.embedding import Embedder
from cryvision.os_errors import os_errors
from cryvision.training.checkpoints import Checkpoints
from cryvision.training.stacking import Samples

GATE_FOLDER = SHIPPED / "gate"
"""A detector that was trained without donateacry-corpus: no phone of it is on both sides."""

Step = Callable[[int, int], None]


def unfamiliar_gate(clips: Sequence[LabelledClip]) -> Bundle:
    """Load the shipped detector that was trained on no phone of some clips.

    It is the default; for clips that are named as those of donateacry-corpus, which that was
    trained on, the one in `GATE_FOLDER`.
    """
    familiar = any(donateacry_name(clip.path) for clip in clips)
    return Bundle.load(GATE_FOLDER if familiar else None)


def crying_windows(
    clips: Sequence[LabelledClip],
    labels: Sequence[str],
    sounds: Mapping[str, SoundConfig],
    gate: Bundle | None,
    progress: Step = lambda done, total: None,
    face: FaceConfig | None = None,
    cache: Path | None = None,
) -> tuple[Samples, dict[int, str]]:
    """Compute the features of every window of the clips that is crying.

    ``labels`` are the classes in order; ``sounds`` the features by name, all of the same window and
    hop. The detector of ``gate`` decides what is crying; with None every window counts.
    ``progress`` is called with the number of clips that are done, and of all. Without ``face``,
    which says how they are described, no faces are looked for. The folder ``cache`` keeps each
    clip's features, by its content and all settings.

    The samples have features in half precision, and ``clips`` holds each row's clip as its number
    in the list. Beside them there is a line on each clip that could not be read, by its number.
    """
    embedder = None if face is None else Embedder(face)
    names = [*sounds, *([FACE] if face else [])]
    features: dict[str, list[np.ndarray]] = {name: [] for name in names}
    rows: list[int] = []
    unreadable: dict[int, str] = {}
    for number, clip in enumerate(clips):
        try:
            inputs = _cached(clip, sounds, face, gate, cache, embedder)
        except MediaError as error:
            unreadable[number] = str(error)
        else:
            for name in names:
                features[name].append(inputs[name])
            rows += [number] * len(inputs[names[0]])
        progress(number + 1, len(clips))
    _sound.cache_clear()  # the file may be another by the next call
    if not rows:
        what = "clips that can be read" if gate is None else "clips with crying in them"
        first = first_problem(list(unreadable.values()))
        raise CryvisionError(f"training needs {what}; there are none{first}")
    return _samples(clips, labels, features, rows), unreadable


def clip_windows(
    clip: LabelledClip,
    sounds: Mapping[str, SoundConfig],
    face: FaceConfig | None,
    gate: Bundle | None,
    embedder: Embedder | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Compute the features of the windows of one clip, as classifying would see them.

    An altered copy of a clip has sound alone, whole in memory. Gives where the windows that the
    gate lets through end, int64, from the start of the labelled stretch; and by feature the inputs,
    float16, NaN where one is missing for a window.
    """
    faces = None if face is None else FaceStream(face, embedder)
    detector = None if gate is None else CryDetector(gate)
    enter, lookahead = None, 0
    if detector is not None:
        enter, lookahead = detector.gate.enter, detector.part.lookahead_samples
    branches = BranchInputs(sounds, face, faces, enter, lookahead)
    if clip.copy:
        samples = _altered(clip)
        detected = None if detector is None else detector.push(samples)
        pieces = [branches.push(samples, detected)]
        end = None if detector is None else detector.finish()
        return _gathered([*pieces, branches.finish(end, len(samples))], sounds, face)
    windows: list[SoundBranchWindows] = []
    has_sound, time_samples = False, 0
    with media.open_clip(
        clip.path, frames=face is not None, start_s=clip.start_s, end_s=clip.end_s
    ) as opened:
        if face is None and not opened.info.has_sound:
            raise MediaError(f"{clip.path}: a clip must have sound here; it has none")
        for piece in opened.pieces():
            if piece.samples is not None and len(piece.samples):
                has_sound = True
                time_samples += len(piece.samples)
                detected = None if detector is None else detector.push(piece.samples)
                windows.append(branches.push(piece.samples, detected))
            if piece.frame is not None:
                time_s = piece.frame_time_s or 0.0
                if not has_sound:
                    windows.append(branches.push_time(round(time_s * SAMPLE_RATE_HZ)))
                    time_samples = round((time_s + 1 / FRAME_RATE_HZ) * SAMPLE_RATE_HZ)
                if faces is not None:
                    faces.push(piece.frame, time_s)
    detected = None if detector is None or not has_sound else detector.finish()
    windows.append(branches.finish(detected, time_samples))
    return _gathered(windows, sounds, face)


def _altered(clip: LabelledClip) -> np.ndarray:
    """Draw the sound of an altered copy of a clip, or of its labelled stretch: always the same."""
    samples = _sound(clip.path, clip.start_s, clip.end_s)
    seed = [clip.copy, zlib.crc32(clip.path.name.encode("utf-8", "surrogateescape"))]
    return vary(samples, np.random.default_rng(seed))


@lru_cache(maxsize=1)
def _sound(path: Path, start_s: float | None, end_s: float | None) -> np.ndarray:
    """Decode a clip once for all of its altered copies, which follow each other."""
    samples = media.read_sound(path, start_s, end_s)
    samples.setflags(write=False)
    return samples


def _gathered(
    windows: Sequence[SoundBranchWindows],
    sounds: Mapping[str, SoundConfig],
    face: FaceConfig | None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Join the windows of one clip; NaN stands for a feature that some or all of them lack."""
    from cryvision.inputs.audio import n_features

    shapes: dict[str, tuple[int, ...]] = {
        name: (config.n_frames, n_features(config)) for name, config in sounds.items()
    }
    if face is not None:
        shapes[FACE] = (face.embedding_width,)
    passed = [piece for piece in windows if piece.crying.any()]
    ends = [piece.end_samples[piece.crying] for piece in passed]
    inputs = {}
    for name, shape in shapes.items():
        pieces = [
            piece.inputs[name].astype(np.float16)
            if name in piece.inputs
            else np.full((len(end), *shape), np.nan, np.float16)
            for piece, end in zip(passed, ends, strict=True)
        ]
        inputs[name] = np.concatenate([np.empty((0, *shape), np.float16), *pieces])
    return np.concatenate([np.empty(0, np.int64), *ends]), inputs


def _cached(
    clip: LabelledClip,
    sounds: Mapping[str, SoundConfig],
    face: FaceConfig | None,
    gate: Bundle | None,
    cache: Path | None,
    embedder: Embedder | None,
) -> dict[str, np.ndarray]:
    if cache is None:
        return clip_windows(clip, sounds, face, gate, embedder)[1]
    facts = {
        "content": _sha256(clip.path),
        "stretch": [clip.start_s, clip.end_s],
        "copy": [clip.copy, clip.path.name] if clip.copy else 0,
        "sounds": {name: to_json(config) for name, config in sounds.items()},
        "face": None if face is None else to_json(face),
        "backbone": None if embedder is None else embedder.weights,
        "gate": None if gate is None else gate.sha256,
        "version": __version__,
    }
    store = Checkpoints(cache, facts)
    inputs = store.load("clip")
    if inputs is None:
        inputs = clip_windows(clip, sounds, face, gate, embedder)[1]
        store.save("clip", inputs)
    return inputs


def _samples(
    clips: Sequence[LabelledClip],
    labels: Sequence[str],
    features: dict[str, list[np.ndarray]],
    rows: Sequence[int],
) -> Samples:
    """Join features; their lists are emptied on the way, so that memory holds each once."""
    joined = {}
    for name, pieces in features.items():
        joined[name] = np.concatenate(pieces)
        pieces.clear()
    return Samples(
        joined,
        np.array([labels.index(clips[i].label) for i in rows]),
        np.array([clips[i].subject for i in rows]),
        np.array(rows).astype(str),
    )


def _sha256(path: Path) -> str:
    with os_errors(f"{path}: cannot be read", MediaError):
        return file_hash(path)

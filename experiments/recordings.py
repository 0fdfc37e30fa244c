"""The recordings that the default detector is trained and tested on, found by CRYVISION_DATA."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryvision.annotations import Interval, read_annotations
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.datasets.annotated import DONATEACRY_CLIP, AnnotatedClip, cry_intervals
from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.errors import AnnotationError
from cryvision.inputs.media import read_sound

ESC10_CRY = "004 - Baby cry"
UNSEEN_SPEAKER = "theo"
"""The digit speaker whom the shipped detector has never heard."""

DIGITS_PER_SEQUENCE = 8
SEQUENCES_PER_SPEAKER = 40

_SEGMENTS = re.compile(r"(?P<phone>[0-9a-f-]{36})-(?P<epoch>\d{10})", re.IGNORECASE)


def data_folder() -> Path:
    """The folder of recordings; ends the script with one line where it is not set."""
    folder = os.environ.get("CRYVISION_DATA")
    if not folder:
        sys.exit("set CRYVISION_DATA to the folder with the recordings; it is not set")
    return Path(folder)


def read_all(paths: Sequence[Path]) -> list[np.ndarray]:
    """Decode many files, a few at a time: most of the time is waiting for their decoders."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(read_sound, paths))


def donateacry() -> list[LabelledSound]:
    """457 clips of 221 phones, 8 kHz, with the segments that cry."""
    root = data_folder()
    clips = donateacry_segments(
        root / "donateacry-corpus" / "donateacry_corpus_cleaned_and_updated_data",
        root / "cry-segments",
    )
    return [
        LabelledSound(
            samples=samples,
            cry=tuple(cry_intervals(clip.intervals)),
            subject=clip.subject,
            source="donateacry",
            clip=clip.path.name,
        )
        for clip, samples in zip(clips, read_all([c.path for c in clips]), strict=True)
    ]


def donateacry_segments(
    wav_folder: str | os.PathLike[str], segment_folder: str | os.PathLike[str]
) -> list[AnnotatedClip]:
    """Pair the clips of donateacry-corpus with the TextGrids of when they cry.

    A clip is named ``<phone id>-<epoch in s or ms>-<version>-<gender>-<age>-<reason>.wav``, its
    TextGrid ``<phone id>-<first ten digits of the epoch>.TextGrid``.

    Parameters
    ----------
    wav_folder, segment_folder : path
        Each is searched with all folders in it.

    Returns
    -------
    list of AnnotatedClip
        Sorted by path; the subject is the phone id in lower case.

    Raises
    ------
    AnnotationError
        If a name is of another form, or a clip and a TextGrid do not pair one to one.
    """
    clips = _by_phone_and_epoch(Path(wav_folder), ".wav", DONATEACRY_CLIP)
    segments = _by_phone_and_epoch(Path(segment_folder), ".textgrid", _SEGMENTS)
    for key in sorted(clips.keys() ^ segments.keys()):
        alone = clips.get(key) or segments[key]
        raise AnnotationError(f"clips and TextGrids must pair one to one; alone is {alone}")
    pairs = sorted((path, key) for key, path in clips.items())
    return [
        AnnotatedClip(path, key[0], tuple(read_annotations(segments[key])), "pattern")
        for path, key in pairs
    ]


def _by_phone_and_epoch(
    folder: Path, suffix: str, form: re.Pattern[str]
) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != suffix:
            continue
        match = form.fullmatch(path.stem)
        if match is None:
            raise AnnotationError(f"{path}: the name must be as donateacry-corpus has it")
        key = (match["phone"].lower(), match["epoch"])
        if key in found:
            raise AnnotationError(f"{path}: phone id and epoch must differ from {found[key]}")
        found[key] = path
    return found


@dataclass(frozen=True)
class WeaklyLabelled(LabelledSound):
    """The label is the whole clip's, so what is far below its loudest may be anything."""


def esc10() -> list[LabelledSound]:
    """400 clips of ten classes; labels are the clips', subjects the original recordings."""
    sounds = []
    paths = sorted((data_folder() / "esc-10").glob("*/*.ogg"))
    for path, samples in zip(paths, read_all(paths), strict=True):
        is_cry = path.parent.name == ESC10_CRY
        whole = (Interval(0.0, len(samples) / SAMPLE_RATE_HZ, "cry"),)
        sounds.append(
            (WeaklyLabelled if is_cry else LabelledSound)(
                samples=samples,
                cry=whole if is_cry else (),
                subject=f"esc10-{path.name.split('-')[1]}",
                source="esc10-cry" if is_cry else "esc10-other",
                clip=f"{path.parent.name}/{path.name}",
            )
        )
    return sounds


def esc10_fold(sound: LabelledSound) -> int:
    """The fold that ESC-10 gives a clip, 1 to 5."""
    return int(sound.clip.split("/")[1][0])


def esc10_class(sound: LabelledSound) -> str:
    """The class folder of an ESC-10 clip."""
    return sound.clip.split("/")[0]


def digits(speakers: Sequence[str] | None = None, seed: int = 0) -> list[LabelledSound]:
    """Sequences of spoken digits with pauses; half of them raised to the pitch of children."""
    files: dict[str, list[Path]] = {}
    for path in sorted((data_folder() / "spoken-digits" / "recordings").glob("*.wav")):
        match = re.fullmatch(r"\d_(\w+)_\d+", path.stem)
        if match:
            files.setdefault(match[1], []).append(path)
    rng = np.random.default_rng(seed)
    wanted = speakers if speakers is not None else sorted(set(files) - {UNSEEN_SPEAKER})
    return [
        _sequence(files[speaker], speaker, number, rng)
        for speaker in wanted
        for number in range(SEQUENCES_PER_SPEAKER)
    ]


def _sequence(
    files: list[Path], speaker: str, number: int, rng: np.random.Generator
) -> LabelledSound:
    from cryvision.augmentation.effects import change_speed

    pieces = []
    chosen = rng.choice(len(files), DIGITS_PER_SEQUENCE, replace=False)
    for spoken in read_all([files[index] for index in chosen]):
        gain = rng.uniform(0.05, 0.5) / max(float(np.abs(spoken).max()), 1e-6)
        pause = np.zeros(int(rng.uniform(0.02, 0.4) * SAMPLE_RATE_HZ))
        pieces += [gain * spoken, pause]
    samples = np.concatenate(pieces) + rng.normal(
        0, 10 ** rng.uniform(-5, -3), sum(map(len, pieces))
    )
    if number % 2:
        samples = change_speed(samples, rng.uniform(1.15, 1.7))
    name = f"digits-{speaker}-{number}"
    return LabelledSound(samples.astype(np.float32), (), f"digits-{speaker}", "digits", name)

"""Audits donateacry-corpus, cleaned and as uploaded, and measures how well copies are found.

Run ``python experiments/audit_donateacry.py`` (25 minutes on two busy cores); it writes
``results/audit_donateacry.json``. Three figures for the copies:

- the cleaned clips were made from the uploads, with other codecs and rates: how many of the 457
  pairs are found, and which other pairs are called copies;
- no two clips of the cleaned corpus, nor of the uploads, are known to be copies of one another:
  how alike the most alike ones are;
- changed copies of clips chosen by a seed: how many are found, by change.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import recordings
from record import say, write_result

from cryvision.auditing.audit import Audit, audit_facts
from cryvision.augmentation.effects import (
    add_noise,
    available_codecs,
    change_speed,
    code,
)
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.datasets.clip_stats import ClipFacts, read_facts
from cryvision.datasets.fingerprints import SIMILAR, band_levels, find_copies, fingerprint
from cryvision.datasets.labelled import CLEANED_FOLDER, Dataset, find_labelled_clips
from cryvision.inputs.media import read_sound

SEED = 0
N_CHANGED = 25
LISTED_FROM = 0.3
"""Similarity from which pairs that are no copies are looked at."""

BUCKETS = ("donateacry-android-upload-bucket", "donateacry-ios-upload-bucket")
CODECS = ("amr-nb", "mulaw", "opus", "mp3", "aac")

Sound = np.ndarray


def changes() -> Mapping[str, Callable[[Sound], Sound]]:
    """The ways in which copies are made."""
    import librosa

    def stretched(rate: float) -> Callable[[Sound], Sound]:
        return lambda sound: librosa.effects.time_stretch(sound, rate=rate)

    def raised(semitones: float) -> Callable[[Sound], Sound]:
        return lambda sound: librosa.effects.pitch_shift(
            sound, sr=SAMPLE_RATE_HZ, n_steps=semitones
        )

    def noisy(snr_db: float) -> Callable[[Sound], Sound]:
        noise = np.random.default_rng(SEED).normal(0, 0.1, SAMPLE_RATE_HZ)
        return lambda sound: add_noise(sound, noise, snr_db, np.random.default_rng(SEED))

    def coded(codec: str) -> Callable[[Sound], Sound]:
        return lambda sound: code(sound, codec)

    ways = {f"coded as {name}": coded(name) for name in CODECS if name in available_codecs()}
    return {
        **ways,
        "12 dB quieter": lambda sound: 0.25 * sound,
        "0.3 s later": lambda sound: np.concatenate([np.zeros(4800, np.float32), sound]),
        "first second cut": lambda sound: sound[SAMPLE_RATE_HZ:],
        **{f"speed {speed:g}": lambda sound, speed=speed: change_speed(sound, speed)
           for speed in (0.9, 0.95, 1.05, 1.1)},
        **{f"{n:+g} semitones": raised(n) for n in (-2, -1, 1, 2)},
        **{f"stretched, speed {rate:g}": stretched(rate) for rate in (0.9, 1.1)},
        **{f"noise, {snr_db:g} dB SNR": noisy(snr_db) for snr_db in (20, 10)},
        "+1 semitone, speed 1.05, mulaw": lambda sound: code(
            change_speed(raised(1)(sound), 1.05), "mulaw"
        ),
    }  # fmt: skip


def recall_of_made_copies(facts: list[ClipFacts]) -> dict[str, Any]:
    """Share of changed copies that are found beside their original, and the least similarity."""
    marked = [one for one in facts if one.fingerprint is not None]
    rng = np.random.default_rng(SEED)
    chosen = [marked[i] for i in rng.choice(len(marked), N_CHANGED, replace=False)]
    sounds = [read_sound(one.clip.path) for one in chosen]
    table = {}
    for name, change in changes().items():
        alike = []
        for one, sound in zip(chosen, sounds, strict=True):
            found = find_copies([one.fingerprint, fingerprint(band_levels(change(sound)))])
            alike.append(found[0].similarity if found else 0.0)
        table[name] = {
            "n": len(alike),
            "found": int(np.count_nonzero(alike)),
            "median_similarity": float(np.median(alike)),
        }
        say(f"{name}: {table[name]}")
    return table


def recording_id(path: Path) -> tuple[str, str]:
    """Phone and first ten digits of the time: a cleaned clip and its upload have them in common."""
    return path.name[:36].lower(), path.name[37:47]


def against_uploads(cleaned: list[ClipFacts], raw: list[ClipFacts]) -> dict[str, Any]:
    """Pairs of a cleaned clip and an upload that are called copies: its own, and others."""
    together = [*cleaned, *raw]
    started = time.process_time()
    pairs = find_copies([one.fingerprint for one in together], LISTED_FROM)
    cpu_seconds = time.process_time() - started
    own, others, within = {}, [], []
    for pair in pairs:
        first, second = together[pair.first], together[pair.second]
        same = recording_id(first.clip.path) == recording_id(second.clip.path)
        across = pair.first < len(cleaned) <= pair.second
        if same and across:
            own[pair.first] = pair.similarity
        elif not same:
            (others if across else within).append(pair.similarity)
    n = len(together)
    return {
        "clips": n,
        "pairs_compared": n * (n - 1) // 2,
        "cleaned_clips_with_their_upload": sum(value >= SIMILAR for value in own.values()),
        "least_similarity_of_those": min(own.values()),
        "other_pairs_called_copies": sum(value >= SIMILAR for value in others + within),
        "most_alike_others": sorted(others + within, reverse=True)[:10],
        "cpu_seconds": cpu_seconds,
    }


def summary(found: Audit) -> dict[str, Any]:
    """What the documentation says of an audit, without the names of files."""
    return {
        "clips": found.counts["clips"],
        "left_out": found.counts["left_out"],
        "subjects": found.counts["subjects"],
        "labels": found.counts["labels"],
        "findings": {one.kind: one.count for one in found.findings},
        "copies": len(found.copies),
        "label_changes": {
            name: {"pairs": gap["pairs"], "changed": len(gap["changed"])}
            for name, gap in found.label_changes.items()
        },
        "label_without_sound": found.label_without_sound,
        "device_from_sound": found.device_from_sound,
        "subject_from_sound": found.subject_from_sound,
    }


def read(source: Path) -> tuple[Dataset, list[ClipFacts]]:
    data = find_labelled_clips(source)
    return data, read_facts(data.clips, progress)


def progress(done: int, total: int) -> None:
    if done % 200 == 0:
        say(f"{done} of {total} clips read")


def main() -> None:
    started = time.time()
    corpus = recordings.data_folder() / "donateacry-corpus"
    cleaned = read(corpus / CLEANED_FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        for bucket in BUCKETS:  # a checkout without the cleaned corpus: both buckets are read
            (Path(folder) / bucket).symlink_to(corpus / bucket, target_is_directory=True)
        raw = read(Path(folder))
        audits = {
            "cleaned": summary(audit_facts("cleaned", *cleaned, seed=SEED)),
            "uploads": summary(audit_facts("uploads", *raw, seed=SEED)),
        }
    for name, record in audits.items():
        say(f"{name}: {record['findings']}")
    copies = {
        "similar_from": SIMILAR,
        "cleaned_against_uploads": against_uploads(cleaned[1], raw[1]),
        "made_copies": recall_of_made_copies(cleaned[1]),
    }
    minutes = (time.time() - started) / 60
    write_result(
        Path(__file__).stem, SEED, {**audits, "finding_copies": copies, "minutes": minutes}
    )


if __name__ == "__main__":
    main()

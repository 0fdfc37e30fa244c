"""Mixtures of everything that the detector learns from: log-mel, labels of edges, soft labels.

Run ``python experiments/pool.py FOLDER`` once (half an hour on two cores, 3 GB); training reads
what it wrote. Each mixture is made of recordings of one cell: subjects (phones, speakers,
recordings) are spread over fifteen cells, and a fold leaves out whole cells, so that nothing of a
subject that is judged was heard in training, not even as noise.
"""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import pickle
import re
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import recordings
import scipy.fft
import teacher
from record import say

from cryvision.augmentation import negatives
from cryvision.augmentation.tones_and_noise import coloured_noise, hum, rumble_and_wind
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.pieces import NOT_LABELLED
from cryvision.errors import MediaError
from cryvision.inputs.logmel import log_mel
from cryvision.inputs.media import read_sound
from cryvision.models.frame_network import EDGES
from cryvision.models.tagger import TAGS

SEED = 0
N_CELLS = 15
N_MIXTURES = 48_000
SECONDS = 4.0
N = round(SECONDS * SAMPLE_RATE_HZ)
STEP = 640
TAG_WINDOW = 2 * SAMPLE_RATE_HZ

SHARES = {"cry": 0.35, "other": 0.47, "upload": 0.07, "anywhere": 0.085, "quiet": 0.025}
"""What a mixture is of: crying, other sounds, an upload without labels, any part of a phone's
clip, quiet noise."""

AS_RECORDED = 0.5
"""Share of ``anywhere`` that nothing but the level is changed of: so are the recordings that the
edges are used on."""

CORPORA = ("donateacry", "esc10", "other-sounds")
WEAK_LOUD_DB, WEAK_QUIET_DB = 12.0, 30.0
"""ESC-10 labels whole clips: what lies less than 12 dB below the loudest is crying, what lies more
than 30 dB below is not, and between nothing is known."""

STEADY_CHANCE, STEADY_DB = 0.3, (-3.0, 20.0)
"""Share of mixtures under the steady noise of a nursery (a noise machine, a fan, rain), and how far
that lies below them. How much of it is crying is what the teacher says without the noise, which it
does not hear through as well as people do."""

SYNTHETIC_SHARE = 0.25
HELD_TONES = ("singing", "bowed", "notes", "music_box")
"""Share of other sounds that are synthetic; families of tunes and held tones are drawn twice as
often, for a tagger takes some of them for crying before it takes anything else."""

CODED_PHONE_HZ = (3000.0, 3800.0)
ROOM_TAPS = 16_384
N_ROOMS = 60
FFT = 81_920
"""Holds a mixture and the longest room without wrapping around."""

GROUPS: dict[str, tuple[str, ...]] = {
    "cry": ("Baby cry, infant cry",),
    "baby_voice": ("Baby laughter", "Laughter", "Giggle", "Chuckle, chortle", "Belly laugh",
                   "Snicker", "Babbling"),
    "child_speech": ("Child speech, kid speaking", "Children shouting", "Children playing",
                     "Child singing"),
    "adult_speech": ("Male speech, man speaking", "Female speech, woman speaking",
                     "Conversation", "Narration, monologue"),
    "music": ("Music", "Singing", "Humming", "Musical instrument", "Choir", "Chant"),
    "human_noise": ("Cough", "Sneeze", "Sniff", "Throat clearing", "Breathing", "Snoring", "Gasp",
                    "Burping, eructation", "Hiccup", "Screaming", "Shout", "Yell", "Clapping",
                    "Walk, footsteps", "Whistling", "Groan", "Wheeze", "Crowd", "Cheering",
                    "Applause", "Chatter"),
    "animal": ("Animal", "Domestic animals, pets", "Dog", "Cat", "Bird", "Livestock, farm animals, "
               "working animals", "Wild animals", "Insect"),
    "household": ("Vacuum cleaner", "Water tap, faucet", "Sink (filling or washing)", "Water",
                  "Dishes, pots, and pans", "Mechanical fan", "Air conditioning", "Engine",
                  "Vehicle", "Rain", "Ocean", "Wind", "White noise", "Pink noise", "Hair dryer",
                  "Toilet flush", "Microwave oven", "Blender", "Door", "Slam", "Knock", "Tap",
                  "Typing", "Crumpling, crinkling", "Helicopter", "Chainsaw", "Fire", "Crackle",
                  "Tick-tock", "Clock", "Mechanisms", "Tools", "Hum", "Mains hum", "Thump, thud",
                  "Rattle", "Squeak"),
    "alarm": ("Alarm", "Alarm clock", "Telephone", "Ringtone", "Siren", "Smoke detector, smoke "
              "alarm", "Buzzer", "Beep, bleep", "Bell", "Doorbell", "Ding-dong", "Chime",
              "Jingle bell", "Wind chime"),
    "silence": ("Silence",),
}  # fmt: skip
"""AudioSet's classes behind each tag; its score is the largest of theirs."""

HEARD_AT = {"cry": 0.05, "baby_voice": 0.05, "child_speech": 0.1}
"""Probability of the teacher from which a tag counts as heard; 0.15 for the others."""


@dataclass(frozen=True)
class Library:
    """The recordings by what they are used for, and the cell of each subject."""

    cry: list[LabelledSound]
    other: list[LabelledSound]
    upload: list[LabelledSound]


def cell_of(subject: str) -> int:
    """The cell of a subject; drawn by its name, so it never changes."""
    return hashlib.sha256(f"cell {subject}".encode()).digest()[0] % N_CELLS


def kept_out(division: int, fold: int, n_folds: int = 3) -> np.ndarray:
    """Cells that a fold of a division leaves out of training; bool, shape (N_CELLS,)."""
    order = np.random.default_rng(division).permutation(N_CELLS)
    return order % n_folds == fold


def other_sounds() -> list[LabelledSound]:
    """Recordings without crying; what was mixed from others is left out, for it is in two cells."""
    root = recordings.data_folder() / "other-sounds"
    with open(root / "sounds.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["derived"]]
    rows = [row for row in rows if row["class"] != "infant_cry"]
    sounds = recordings.read_all([root / row["file"] for row in rows])
    return [
        LabelledSound(
            samples, (), f"other-{row['recording_or_speaker_id']}", row["class"], row["file"]
        )
        for row, samples in zip(rows, sounds, strict=True)
    ]


def uploads() -> list[LabelledSound]:
    """All that the phones sent, as it was sent; nothing is known of when they cry."""
    root = recordings.data_folder() / "donateacry-corpus"
    paths = sorted([*root.glob("*upload-bucket/*.3gp"), *root.glob("*upload-bucket/*.caf")])
    found = []
    for path in paths:
        try:
            samples = read_sound(path)
        except MediaError:
            continue  # stubs of a few bytes
        if len(samples) > SAMPLE_RATE_HZ:
            phone = path.name[:36].lower()
            found.append(LabelledSound(samples, (), phone, "upload", path.name))
    return found


def library(folder: Path) -> Library:
    """Read everything, once; subjects of donateacry are its phones, in lower case."""
    kept = folder / "library.pickle"
    if kept.exists():
        return Library(**pickle.loads(kept.read_bytes()))
    found = _read_library()
    # Without its class: that is of the script that runs first, and the others could not read it.
    kept.write_bytes(pickle.dumps(vars(found)))
    return found


def _read_library() -> Library:
    donateacry = [replace(s, subject=s.subject.lower()) for s in recordings.donateacry()]
    esc10 = recordings.esc10()
    crying = [s for s in esc10 if s.source == "esc10-cry"]
    digits = recordings.digits()
    rest = [s for s in esc10 if s.source != "esc10-cry"]
    return Library([*donateacry, *crying], [*rest, *digits, *other_sounds()], uploads())


@lru_cache(maxsize=1)
def rooms() -> np.ndarray:
    """Spectra of synthetic rooms: noise that dies away, the faster the higher its pitch."""
    rng = np.random.default_rng(7)
    hz = np.fft.rfftfreq(ROOM_TAPS, 1 / SAMPLE_RATE_HZ)
    times_s = np.arange(ROOM_TAPS) / SAMPLE_RATE_HZ
    spectra = []
    for _ in range(N_ROOMS):
        tail = np.zeros(ROOM_TAPS)
        rt60 = rng.uniform(0.12, 0.8)
        for low, high, share in ((0, 500, 1.2), (500, 2000, 1.0), (2000, 8001, 0.65)):
            band = np.fft.rfft(rng.standard_normal(ROOM_TAPS)) * ((hz >= low) & (hz < high))
            tail += np.fft.irfft(band) * np.exp(-6.9 * times_s / (rt60 * share))
        first = int(rng.uniform(0.002, 0.012) * SAMPLE_RATE_HZ)
        tail[:first] = 0
        tail *= 10 ** (-rng.uniform(-3, 12) / 20) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        spectra.append(np.fft.rfft(tail / np.sqrt(np.sum(tail**2)), FFT).astype(np.complex64))
    return np.stack(spectra)


@dataclass(frozen=True)
class Mixture:
    """Four seconds of sound.

    Attributes
    ----------
    samples, without_noise : ndarray of float32, shape (N,)
        The same array where no steady noise was laid over it.
    labels : ndarray of uint8, shape (N // STEP,)
        Of the 40 ms steps.
    cell : int
    kind : str
        One of ``SHARES``.
    """

    samples: np.ndarray
    without_noise: np.ndarray
    labels: np.ndarray
    cell: int
    kind: str


class Mixer:
    """Draws mixtures; number ``i`` is the same in every run, whoever draws it."""

    def __init__(self, found: Library) -> None:
        self.by_cell: dict[tuple[str, int], dict[str, list[LabelledSound]]] = {}
        grouped: dict = defaultdict(lambda: defaultdict(list))
        for name in ("cry", "other", "upload"):
            for sound in getattr(found, name):
                group = re.sub(r"-(cry|other)$", "", sound.source) if name == "other" else name
                if name == "cry":
                    group = sound.source
                grouped[name, cell_of(sound.subject)][group].append(sound)
        self.by_cell = {key: dict(groups) for key, groups in grouped.items()}

    def draw(self, index: int) -> Mixture:
        """Draw a mixture; ``corpora`` then says of which corpora it is made, a bit each."""
        rng = np.random.default_rng([SEED, index])
        self.corpora = 0
        cell = index % N_CELLS
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        sound, labels = self._content(rng, cell, kind)
        if kind == "cry" and rng.random() < 0.6:
            sound = _added(sound, self._other(rng, cell), rng.uniform(-3, 25))
        elif kind == "other" and rng.random() < 0.35:
            sound = _added(sound, self._other(rng, cell), rng.uniform(-10, 10))
        copies = [sound]
        as_recorded = kind == "anywhere" and rng.random() < AS_RECORDED
        if kind != "quiet" and not as_recorded and rng.random() < STEADY_CHANCE:
            copies.append(_added(sound, steady_noise(rng), rng.uniform(*STEADY_DB)))
        gain = np.ones(N, np.float32)
        if rng.random() < 0.08 and kind != "quiet" and not as_recorded:
            # Silence before or after, as where a clip or a sound begins.
            at = int(rng.integers(N // 8, 7 * N // 8)) // STEP * STEP
            part = slice(0, at) if rng.random() < 0.7 else slice(at, N)
            gain[part] = 10 ** (-rng.uniform(30, 80) / 20)
            steps = slice(part.start // STEP, part.stop // STEP)
            labels[steps] = np.where(labels[steps] == NOT_LABELLED, NOT_LABELLED, 0)
        if as_recorded:
            heard = [(sound / max(np.abs(sound).max(), 1e-9) * random_level(rng)).astype("f4")]
        else:
            air = int(rng.integers(2**62))
            heard = [through_the_air(np.random.default_rng(air), copy) * gain for copy in copies]
        return Mixture(heard[-1], heard[0], labels, cell, kind)

    def _content(
        self, rng: np.random.Generator, cell: int, kind: str
    ) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.zeros(N // STEP, np.uint8)
        if kind == "other":
            return self._other(rng, cell), nothing
        if kind == "quiet":
            noise = negatives.negative(rng, "coloured_noise", SECONDS)
            return noise * 10 ** (-rng.uniform(20, 40) / 20), nothing
        groups = self.by_cell["upload" if kind == "upload" else "cry", cell]
        names = sorted(groups)
        weights = np.array([3.0 if name == "donateacry" else 1.0 for name in names])
        if kind == "anywhere" and "donateacry" in groups:
            names, weights = ["donateacry"], np.ones(1)
        name = str(rng.choice(names, p=weights / weights.sum()))
        recording = self._of(rng, groups[name])
        sound, labels = _cut(rng, recording, want_cry=kind == "cry")
        return sound, np.full(N // STEP, NOT_LABELLED, np.uint8) if kind == "upload" else labels

    def _other(self, rng: np.random.Generator, cell: int) -> np.ndarray:
        """Another sound: a class is drawn first, so that rare ones are heard as often."""
        if rng.random() < SYNTHETIC_SHARE:
            families = [*negatives.NEGATIVES, *HELD_TONES]
            return negatives.negative(rng, str(rng.choice(families)), SECONDS)
        groups = self.by_cell["other", cell]
        names = sorted(groups)
        weights = np.array([len(groups[name]) ** 0.5 for name in names])
        chosen = groups[str(rng.choice(names, p=weights / weights.sum()))]
        return _cut(rng, self._of(rng, chosen), want_cry=False)[0]

    def _of(self, rng: np.random.Generator, sounds: list[LabelledSound]) -> LabelledSound:
        chosen = sounds[rng.integers(len(sounds))]
        name = {"upload": "donateacry", "donateacry": "donateacry"}.get(chosen.source)
        if name is None and not chosen.source.startswith("digits"):
            name = "esc10" if chosen.source.startswith("esc10") else "other-sounds"
        self.corpora |= 1 << CORPORA.index(name) if name else 0
        return chosen


def _cut(
    rng: np.random.Generator, recording: LabelledSound, want_cry: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cut 4 s at a random place, at a random speed; short recordings are repeated or padded."""
    # Both lengths are such that transforms of them are quick.
    n_out = scipy.fft.next_fast_len(N + 2048, real=True)
    n_in = scipy.fft.next_fast_len(round(n_out * rng.uniform(0.85, 1.2)), real=True)
    factor = n_in / n_out
    marks = sample_labels(recording)
    n = round(N * factor)
    if len(marks) < n:
        if rng.random() < 0.5:
            times = -(-n // len(marks))
            source, marks = np.tile(recording.samples, times), np.tile(marks, times)
        else:
            before = int(rng.integers(0, n - len(marks) + 1))
            shape = (before, n - len(marks) - before)
            source, marks = np.pad(recording.samples, shape), np.pad(marks, shape)
    else:
        source = recording.samples
    start = int(rng.integers(0, len(marks) - n + 1))
    if want_cry and (marks == 1).any():
        for _ in range(8):
            if np.mean(marks[start : start + n] == 1) > 0.05:
                break
            start = int(rng.integers(0, len(marks) - n + 1))
    spectrum = scipy.fft.rfft(source[start : start + n].astype(np.float32), n_in)
    spectrum = spectrum[: n_out // 2 + 1]
    sound = scipy.fft.irfft(spectrum, n_out)[:N] * np.float32(n_out / n_in)
    places = (np.arange(N) * factor).astype(np.int64)
    moved = marks[start : start + n][np.minimum(places, n - 1)].reshape(-1, STEP)
    known = (moved != NOT_LABELLED).mean(axis=1) >= 0.5
    labels = np.where(known, (moved == 1).mean(axis=1) >= 0.5, NOT_LABELLED).astype(np.uint8)
    return sound, labels


def sample_labels(recording: LabelledSound) -> np.ndarray:
    """Label of each sample: 1 crying, 0 not, 255 not known."""
    marks = np.zeros(len(recording.samples), np.uint8)
    for interval in recording.cry:
        span = slice(*(round(t * SAMPLE_RATE_HZ) for t in (interval.start_s, interval.end_s)))
        marks[span] = 1
    if isinstance(recording, recordings.WeaklyLabelled):
        width = 3200
        total = np.concatenate([[0.0], np.cumsum(np.square(recording.samples, dtype=np.float64))])
        at = np.arange(len(marks))
        ends = np.minimum(at + width // 2, len(marks)), np.maximum(at - width // 2, 0)
        power = (total[ends[0]] - total[ends[1]]) / width
        below = 10 * np.log10(np.maximum(power, 1e-12) / max(power.max(), 1e-12))
        marks[:] = NOT_LABELLED
        marks[below > -WEAK_LOUD_DB] = 1
        marks[below < -WEAK_QUIET_DB] = 0
    return marks


def _added(sound: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    power, more = (np.mean(np.square(s, dtype=np.float64)) for s in (sound, other))
    if power <= 0 or more <= 0:
        return sound + other
    return sound + other * np.sqrt(power / more * 10 ** (-snr_db / 10))


def steady_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of one colour, a hum, or rumble and wind, without pauses."""
    family = (coloured_noise, coloured_noise, hum, rumble_and_wind)[rng.integers(4)]
    return family(rng, N).astype(np.float32)


def random_level(rng: np.random.Generator) -> float:
    """Draw a peak, as a share of full scale."""
    return float(10 ** (rng.uniform(-34, 0) / 20))


def through_the_air(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """A room, a band limit, a microphone, a level, noise, clipping and coarse coding, at random."""
    hz = np.arange(FFT // 2 + 1, dtype=np.float32) * np.float32(SAMPLE_RATE_HZ / FFT)
    spectrum = scipy.fft.rfft(sound.astype(np.float32), FFT)
    if rng.random() < 0.4:
        spectrum *= rooms()[rng.integers(N_ROOMS)]
    if rng.random() < 0.4:
        cut = CODED_PHONE_HZ if rng.random() < 0.5 else (3800.0, 7000.0)
        spectrum *= 1 / np.sqrt(1 + (hz / np.float32(rng.uniform(*cut))) ** 40)
    if rng.random() < 0.3:
        corner = np.float32(rng.uniform(50, 300))
        spectrum /= np.sqrt(1 + (corner / np.maximum(hz, 1)) ** 4)
    sound = scipy.fft.irfft(spectrum, FFT)[: len(sound)]
    peak = np.abs(sound).max()
    if peak > 0:
        sound = sound * np.float32(random_level(rng) / peak)
    floor = 10 ** (rng.uniform(-90, -40) / 20) * np.abs(sound).max()
    sound = sound + rng.standard_normal(len(sound), np.float32) * np.float32(floor)
    if rng.random() < 0.1:
        limit = np.abs(sound).max() * rng.uniform(0.2, 0.8)
        sound = np.clip(sound, -limit, limit)
    if rng.random() < 0.15:
        coded = np.sign(sound) * np.log1p(255 * np.minimum(np.abs(sound), 1)) / np.log(256)
        coded = np.round(coded * 127) / 127
        sound = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255
    return sound.astype(np.float32)


def tag_logits(logits: np.ndarray) -> np.ndarray:
    """Turn logits of the teacher's classes into logits of the tags, 0 where a tag is just heard.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, 527)

    Returns
    -------
    ndarray of float32, shape (n, len(TAGS))
    """
    columns = []
    child = logits[:, teacher.columns(GROUPS["child_speech"])].max(axis=1)
    for tag in TAGS:
        value = logits[:, teacher.columns(GROUPS[tag])].max(axis=1)
        if tag == "adult_speech":
            # "Speech" is a child's as well: it counts where no child is heard.
            speech = logits[:, teacher.columns(["Speech"])[0]]
            value = np.maximum(value, speech - 2.0 * np.log1p(np.exp(child + 2.2)))
        heard_at = HEARD_AT.get(tag, 0.15)
        columns.append(value - np.log(heard_at / (1 - heard_at)))
    return np.stack(columns, axis=1).astype(np.float32)


def taught_tags(taught: teacher.Teacher, samples: np.ndarray) -> np.ndarray:
    """Let the teacher hear both windows of a mixture; float32, shape (2, len(TAGS))."""
    windows = [
        teacher.log_mel(samples[a : a + TAG_WINDOW])[: taught.n_frames]
        for a in range(0, N, TAG_WINDOW)
    ]
    return tag_logits(taught.logits(np.stack(windows)))


found_library: Library


def _work(indices: range) -> dict[str, np.ndarray]:
    mixer, taught = Mixer(found_library), teacher.Teacher(TAG_WINDOW / SAMPLE_RATE_HZ)
    mels, labels, cells, kinds, corpora, tags = [], [], [], [], [], []
    for done, index in enumerate(indices):
        mixture = mixer.draw(index)
        mels.append(log_mel(mixture.samples, EDGES).log_power.astype(np.float16))
        found = taught_tags(taught, mixture.samples)
        if mixture.without_noise is not mixture.samples:
            found[:, 0] = taught_tags(taught, mixture.without_noise)[:, 0]
        tags.append(found)
        labels.append(mixture.labels)
        cells.append(mixture.cell)
        kinds.append(list(SHARES).index(mixture.kind))
        corpora.append(mixer.corpora)
        if done % 2000 == 1999:
            say(f"{done + 1} of {len(indices)} mixtures")
    return {
        "log_power": np.stack(mels),
        "labels": np.stack(labels),
        "cells": np.array(cells, np.int8),
        "kinds": np.array(kinds, np.int8),
        "corpora": np.array(corpora, np.int8),
        "tags": np.stack(tags),
    }


def main() -> None:
    global found_library
    started = time.time()
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    n = int(sys.argv[2]) if len(sys.argv) > 2 else N_MIXTURES
    found_library = library(out)
    rooms()
    say(f"read in {time.time() - started:.0f} s")
    parts = [range(first, n, 2) for first in range(2)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        halves = pool.map(_work, parts, chunksize=1)
    for name in halves[0]:
        whole = np.empty((n, *halves[0][name].shape[1:]), halves[0][name].dtype)
        for part, half in zip(parts, halves, strict=True):
            whole[part.start :: 2] = half[name]
        np.save(out / f"{name}.npy", whole)
    say(f"{n} mixtures in {(time.time() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()

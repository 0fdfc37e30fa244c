"""Draw and sing a labelled set of short videos, so that a multimodal training runs anywhere.

Run ``python experiments/make_videos.py OUT``. There are four classes: how it sounds (``hum`` or
``squeal``) and how it looks (``weeping`` or ``smiling``). Sound alone and picture alone can tell
two halves apart and no more; only both together tell all four. Every subject has a voice, a face,
a room and a noise of its own, and is in all classes, so that nothing but the two tells them. The
face is in the middle of the picture, for ``FaceConfig(mode="center")``: it needs no face detector.
The sound is no crying, so train with ``gate="none"``.

The clips are ``OUT/<class>/<subject>-<number>.mp4``; ``SUBJECT_PATTERN`` finds the subject in that.
Nothing was recorded. Drawing and sound depend on the seed alone.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import find_ffmpeg

SUBJECT_PATTERN = r"(baby\d+)-"
SIDE_PX = 128
FRAMES_PER_SECOND = 15
PITCHES_HZ = {"hum": (230.0, 380.0), "squeal": (800.0, 1200.0)}
FORMANTS_HZ = {"hum": (400.0, 850.0), "squeal": (1100.0, 2500.0)}
"""Range of pitches, and resonances, of the two ways to sing: all within 50 to 3400 Hz."""

LEVEL_DBFS = -20.0
FLUSH = 0.4
"""How red a weeping face is: the share of red in its skin."""

_RED = np.array([70.0, 60.0, 215.0])
_EYE_WHITE, _DARK, _TONGUE, _TEAR = (245, 245, 245), (45, 35, 40), (110, 100, 200), (245, 215, 160)


@dataclass(frozen=True)
class Subject:
    """What a made-up baby sounds and looks like, in all of its clips.

    Attributes
    ----------
    pitch : float
        0 to 1: where in the range of pitches.
    tract : float
        Factor on all resonances: short vocal tracts ring higher.
    noise_db : float
        Level of the noise in the room, relative to the voice.
    noise_width : int
        Samples that the noise is averaged over: more are duller.
    skin, wall : ndarray of float, shape (3,)
        BGR.
    head_px : tuple of float
        Half the width and the height of the head.
    """

    pitch: float
    tract: float
    noise_db: float
    noise_width: int
    skin: np.ndarray
    wall: np.ndarray
    head_px: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Subject:
        """Make one up."""
        skin = np.array([150.0, 185.0, 230.0]) * rng.uniform(0.45, 1.05)
        return cls(
            pitch=rng.uniform(0, 1),
            tract=rng.uniform(0.92, 1.08),
            noise_db=rng.uniform(-26, -16),
            noise_width=int(rng.integers(1, 8)),
            skin=np.clip(skin + rng.uniform(-12, 12, 3), 0, 255),
            wall=rng.uniform(60, 230, 3),
            head_px=(rng.uniform(40, 48), rng.uniform(46, 54)),
        )


def sing(rng: np.random.Generator, subject: Subject, voice: str, seconds: float) -> np.ndarray:
    """Sing one note again and again, as long as one breath each time.

    Parameters
    ----------
    rng : Generator
    subject : Subject
    voice : {"hum", "squeal"}
    seconds : float

    Returns
    -------
    ndarray of float64, shape (n,)
        16 kHz, within -1 to 1.
    """
    n = round(seconds * SAMPLE_RATE_HZ)
    time_s = np.arange(n) / SAMPLE_RATE_HZ
    breath_s, start = rng.uniform(0.6, 1.0), rng.uniform(0, 1)
    place = (time_s / breath_s + start) % 1
    glide = 1 + rng.uniform(0.05, 0.2) * np.sin(np.pi * place)
    vibrato = 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(4, 7) * time_s)
    low_hz, high_hz = PITCHES_HZ[voice]
    pitch_hz = low_hz * (high_hz / low_hz) ** subject.pitch * glide * vibrato
    pitch_hz *= rng.uniform(0.93, 1.07)
    cycles = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    sung = np.zeros(n)
    for k in range(1, int(0.45 * SAMPLE_RATE_HZ / pitch_hz.max())):
        gain = np.sum(
            [
                1 / np.hypot(1, (k * pitch_hz - subject.tract * centre) / 130)
                for centre in FORMANTS_HZ[voice]
            ],
            axis=0,
        )
        sung += gain / np.sqrt(k) * np.sin(2 * np.pi * k * cycles)
    sung *= np.clip(8 * np.sin(np.pi * place), 0, 1)
    dull = np.ones(subject.noise_width) / subject.noise_width
    noise = np.convolve(rng.standard_normal(n), dull, mode="same")
    sound = _level(sung, 0.0) + _level(noise, subject.noise_db)
    return np.clip(_level(sound, LEVEL_DBFS + rng.uniform(-4, 4)), -1, 1)


def _level(sound: np.ndarray, decibels: float) -> np.ndarray:
    return sound / np.sqrt(np.mean(sound**2)) * 10 ** (decibels / 20)


def draw(subject: Subject, mood: str, at: tuple[float, float], phase: float) -> np.ndarray:
    """Draw one frame: a head in front of a wall.

    Parameters
    ----------
    subject : Subject
    mood : {"weeping", "smiling"}
    at : tuple of float
        x and y of the middle of the head, in pixels.
    phase : float
        0 to 1, again and again: how far the tears have run, and the mouth is open.

    Returns
    -------
    ndarray of uint8, shape (SIDE_PX, SIDE_PX, 3)
        BGR.
    """
    picture = np.empty((SIDE_PX, SIDE_PX, 3), np.uint8)
    picture[:] = subject.wall
    x, y = at
    flush = FLUSH * (mood == "weeping")
    _oval(picture, (x, y), subject.head_px, (1 - flush) * subject.skin + flush * _RED)
    for side in (-1, 1):
        eye = (x + side * 17, y - 12)
        if mood == "smiling":
            _oval(picture, eye, (8, 7), _EYE_WHITE)
            _oval(picture, (eye[0] + 1, eye[1] + 1), (4, 4), _DARK)
        else:
            _arc(picture, (eye[0], eye[1] + 3), (9, 5), (190, 350))
            for fallen in (phase, (phase + 0.5) % 1):
                _oval(picture, (eye[0] + side * 4, eye[1] + 8 + 26 * fallen), (3, 5), _TEAR)
    if mood == "smiling":
        _arc(picture, (x, y + 16), (17, 9), (15, 165))
    else:
        open_px = 11 + 5 * np.sin(2 * np.pi * phase)
        _oval(picture, (x, y + 26), (14, open_px), _DARK)
        _oval(picture, (x, y + 28 + open_px / 3), (8, open_px / 3), _TONGUE)
    return picture


def _oval(
    picture: np.ndarray,
    centre: tuple[float, float],
    radii: tuple[float, float],
    colour: np.ndarray | tuple[int, int, int],
) -> None:
    box = (centre, (2 * radii[0], 2 * radii[1]), 0.0)
    cv2.ellipse(picture, box, [float(value) for value in colour], -1, cv2.LINE_AA)


def _arc(
    picture: np.ndarray,
    centre: tuple[float, float],
    radii: tuple[int, int],
    degrees: tuple[int, int],
) -> None:
    place = (round(centre[0]), round(centre[1]))
    cv2.ellipse(picture, place, radii, 0, *degrees, _DARK, 3, cv2.LINE_AA)


def film(rng: np.random.Generator, subject: Subject, mood: str, seconds: float) -> np.ndarray:
    """Draw the frames of a clip: the head sways, and the light is of that day.

    Returns
    -------
    ndarray of uint8, shape (n, SIDE_PX, SIDE_PX, 3)
        BGR.
    """
    n = round(seconds * FRAMES_PER_SECOND)
    middle = SIDE_PX / 2 + rng.uniform(-5, 5, 2)
    sway_hz, light = rng.uniform(0.2, 0.6), rng.uniform(0.8, 1.1)
    start = rng.uniform(0, 1)
    frames = []
    for k in range(n):
        time_s = k / FRAMES_PER_SECOND
        sway = 3 * np.sin(2 * np.pi * (sway_hz * time_s + start))
        at = (float(middle[0] + sway), float(middle[1] + sway / 3))
        picture = draw(subject, mood, at, (1.3 * time_s + start) % 1)
        grain = rng.normal(0, 4, picture.shape)
        frames.append(np.clip(picture * light + grain, 0, 255).astype(np.uint8))
    return np.stack(frames)


def write_clip(path: Path, frames: np.ndarray, sound: np.ndarray) -> None:
    """Write frames and sound as an MP4 file, with coders that every ffmpeg has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        with wave.open(str(song), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        size = f"{frames.shape[2]}x{frames.shape[1]}"
        pictures = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size, "-r", str(FRAMES_PER_SECOND)]
        coded = ["-c:v", "mpeg4", "-q:v", "3", "-c:a", "aac", "-b:a", "96k", "-threads", "1"]
        exact = ["-fflags", "+bitexact", "-flags", "+bitexact"]
        command = [find_ffmpeg(), "-v", "error", "-y", *pictures, "-i", "pipe:0", "-i", str(song)]
        done = subprocess.run(
            [*command, *coded, *exact, str(path)], input=frames.tobytes(), capture_output=True
        )
    if done.returncode:
        raise SystemExit(f"ffmpeg could not write {path}: {done.stderr.decode().strip()}")


def make(
    out: Path, n_subjects: int = 8, n_clips: int = 1, seconds: float = 3.0, seed: int = 0
) -> list[Path]:
    """Write the set.

    Parameters
    ----------
    out : Path
        Gets a folder for each class.
    n_subjects : int
    n_clips : int
        Of each subject in each class.
    seconds : float
        Length of a clip.
    seed : int
        Other seeds make up other subjects.

    Returns
    -------
    list of Path
    """
    paths = []
    for number in range(n_subjects):
        subject = Subject.draw(np.random.default_rng([seed, number]))
        for place, (voice, mood) in enumerate(
            (voice, mood) for voice in FORMANTS_HZ for mood in ("smiling", "weeping")
        ):
            for clip in range(n_clips):
                rng = np.random.default_rng([seed, number, place, clip])
                path = out / f"{voice}_{mood}" / f"baby{number + 1:02d}-{clip + 1}.mp4"
                frames = film(rng, subject, mood, seconds)
                write_clip(path, frames, sing(rng, subject, voice, seconds))
                paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw and sing a labelled set of short videos.")
    parser.add_argument("out", type=Path, metavar="OUT", help="gets a folder for each class")
    parser.add_argument("--subjects", type=int, default=8, metavar="N", help="(default 8)")
    parser.add_argument(
        "--clips", type=int, default=1, metavar="N", help="of each subject and class (default 1)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a clip (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    options = parser.parse_args()
    paths = make(options.out, options.subjects, options.clips, options.seconds, options.seed)
    print(f"{options.out}: {len(paths)} clips of {options.subjects} subjects in four classes")


if __name__ == "__main__":
    main()

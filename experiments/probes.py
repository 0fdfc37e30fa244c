"""Sounds of families that no detector is trained on, to see what it makes of them.

The generators share nothing with ``cryvision.augmentation.negatives``: where a family goes by the
same name (noise, hum, clicks) its recipe is another one. All return float32 at 16 kHz.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import numpy as np

from cryvision.augmentation.effects import change_speed
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import CryvisionError, MissingDependencyError

ESPEAK_TIMEOUT_SECONDS = 60.0

_WAV_HEADER_BYTES = 44
_ESPEAK_RATE_HZ = 22050


def _seconds(n_samples: int) -> np.ndarray:
    return np.arange(n_samples) / SAMPLE_RATE_HZ


def _at_level(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Set the peak to -30 to -3 dBFS."""
    loudest = np.abs(sound).max(initial=0)
    gain = 10 ** (rng.uniform(-30, -3) / 20) / loudest if loudest > 0 else 0.0
    return np.asarray(sound * gain, dtype=np.float32)


def siren(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A wail, a yelp or a two-tone horn, with the odd harmonics of an overdriven loudspeaker."""
    times_s = _seconds(n_samples)
    low_hz, high_hz = rng.uniform(400, 750), rng.uniform(900, 1700)
    period_s = {"wail": rng.uniform(2, 7), "yelp": rng.uniform(0.2, 0.4), "horn": 1.2}
    kind = str(rng.choice(sorted(period_s)))
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (times_s / period_s[kind] + rng.random()))
    if kind == "horn":
        swing = np.round(swing) * 0.5
    phase = 2 * np.pi * np.cumsum(low_hz + (high_hz - low_hz) * swing) / SAMPLE_RATE_HZ
    odd = range(1, 1 + int(7500 / high_hz), 2)
    return _at_level(rng, np.sum([np.sin(k * phase) / k ** rng.uniform(1, 3) for k in odd], axis=0))


def vibrato(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Long notes of a few harmonics whose pitch swings 4 to 8 times a second."""
    times_s = _seconds(n_samples)
    note = (times_s / rng.uniform(0.6, 2.5)).astype(np.int64)
    base_hz = rng.uniform(180, 700)
    note_hz = base_hz * 2 ** (rng.integers(-5, 8, note.max(initial=0) + 1)[note] / 12)
    swing = rng.uniform(0.005, 0.04) * np.sin(2 * np.pi * rng.uniform(4, 8) * times_s)
    phase = 2 * np.pi * np.cumsum(note_hz * (1 + swing)) / SAMPLE_RATE_HZ
    voices = [np.sin(k * phase + k) / k ** rng.uniform(0.5, 2) for k in range(1, 7)]
    return _at_level(rng, np.sum(voices, axis=0))


def plucked_strings(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Plucked strings: Karplus & Strong (1983), Computer Music Journal 7(2)."""
    sound = np.zeros(n_samples)
    gap = int(rng.uniform(0.15, 0.7) * SAMPLE_RATE_HZ)
    for start in range(0, n_samples, gap):
        period = int(SAMPLE_RATE_HZ / rng.uniform(80, 900))
        string = rng.uniform(-1, 1, period)
        loss, turns = rng.uniform(0.985, 1.0), -(-(n_samples - start) // period)
        string_of_turn = np.empty((turns, period))
        for turn in range(turns):
            string_of_turn[turn] = string
            string = loss * 0.5 * (string + np.roll(string, 1))
        sound[start:] += string_of_turn.reshape(-1)[: n_samples - start]
    return _at_level(rng, sound)


def melody(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A toy's tune: a walk on the pentatonic scale, as a music box or a cheap square wave."""
    beat_s, square = rng.uniform(0.15, 0.5), rng.random() < 0.5
    times_s = _seconds(n_samples)
    beat = (times_s / beat_s).astype(np.int64)
    walk = np.cumsum(rng.integers(-2, 3, beat.max(initial=0) + 1)) % 10
    semitones = np.array([0, 2, 4, 7, 9, 12, 14, 16, 19, 21])[walk][beat]
    phase = np.cumsum(rng.uniform(350, 800) * 2 ** (semitones / 12)) / SAMPLE_RATE_HZ
    since_s = times_s - beat * beat_s
    if square:
        tune = np.where(phase % 1 < rng.uniform(0.2, 0.5), 1.0, -1.0) * (since_s < 0.85 * beat_s)
    else:
        partials = ((1.0, 1.0, 3.0), (2.76, 0.4, 8.0), (5.4, 0.2, 15.0))
        strokes = [a * np.sin(2 * np.pi * r * phase) * np.exp(-d * since_s) for r, a, d in partials]
        tune = np.sum(strokes, axis=0)
    return _at_level(rng, tune)


def noise(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Moving averages and differences of uniform noise, summed, and switched in steps."""
    white = rng.uniform(-1, 1, n_samples + 400)
    parts = []
    for _ in range(rng.integers(1, 4)):
        width = int(rng.integers(1, 200))
        total = np.concatenate([[0.0], np.cumsum(white)])
        part = (total[width:] - total[:-width])[-n_samples:] / np.sqrt(width)
        parts.append(part * rng.uniform(0.2, 1))
    sound = np.sum(parts, axis=0)
    if rng.random() < 0.3:
        sound = np.diff(sound, prepend=sound[0])
    steps = rng.uniform(0.2, 1, 1 + n_samples // 8000)
    return _at_level(rng, sound * np.repeat(steps, 8000)[:n_samples])


def hum(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A rectifier's hum with a slow beat, hard-limited."""
    times_s = _seconds(n_samples)
    mains_hz = float(rng.choice([50.0, 60.0]))
    wave = np.abs(np.sin(np.pi * 2 * mains_hz * times_s)) - 0.64
    wave += rng.uniform(0, 0.5) * np.sin(2 * np.pi * (3 * mains_hz + rng.uniform(0, 2)) * times_s)
    limited = np.clip(wave, -rng.uniform(0.2, 1), rng.uniform(0.2, 1))
    return _at_level(rng, limited + rng.uniform(-0.02, 0.02, n_samples))


def clicks(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Claps and clatter: bursts of sharpened noise with sudden starts."""
    sound = np.zeros(n_samples)
    at = int(rng.uniform(0, 0.4) * SAMPLE_RATE_HZ)
    while at < n_samples:
        length = min(int(rng.uniform(0.004, 0.08) * SAMPLE_RATE_HZ), n_samples - at)
        fall = np.linspace(1, 0, length) ** rng.uniform(2, 8)
        sound[at : at + length] += rng.standard_normal(length) ** 3 * fall * rng.uniform(0.2, 1)
        at += int(rng.exponential(0.25) * SAMPLE_RATE_HZ) + 200
    return _at_level(rng, sound)


def silence(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Digital silence."""
    del rng
    return np.zeros(n_samples, dtype=np.float32)


HELD_OUT: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "siren": siren,
    "vibrato": vibrato,
    "plucked_strings": plucked_strings,
    "melody": melody,
    "noise": noise,
    "hum": hum,
    "clicks": clicks,
    "silence": silence,
}
"""Families by name: functions of a random generator and a number of samples at 16 kHz."""


def espeak(
    text: str, voice: str = "en", pitch: int = 50, words_per_minute: int = 175
) -> np.ndarray:
    """Let espeak-ng speak a text.

    Parameters
    ----------
    text : str
        What to say.
    voice : str
        A voice of espeak-ng, with its variant where there is one: ``en``, ``de``, ``en+f3``.
    pitch : int
        0 to 99.
    words_per_minute : int
        80 to 450.

    Returns
    -------
    ndarray
        float32, shape (n,), 16 kHz.

    Raises
    ------
    MissingDependencyError
        Where the program espeak-ng is not installed.
    CryvisionError
        When it fails.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingDependencyError("synthetic speech needs the program espeak-ng on the PATH")
    settings = ["-v", voice, "-p", str(pitch), "-s", str(words_per_minute)]
    done = subprocess.run(
        [program, "--stdout", "--stdin", *settings],
        input=text.encode(),
        capture_output=True,
        timeout=ESPEAK_TIMEOUT_SECONDS,
        check=False,
    )
    header = done.stdout[:_WAV_HEADER_BYTES]
    rate_hz = int.from_bytes(header[24:28], "little")
    if done.returncode != 0 or header[36:40] != b"data" or rate_hz != _ESPEAK_RATE_HZ:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise CryvisionError(f"espeak-ng must speak as {voice!r}; it failed: {' '.join(message)}")
    # A stream's header states no true length, which WAV readers refuse or warn about.
    pcm = np.frombuffer(done.stdout[_WAV_HEADER_BYTES:], dtype="<i2") / np.float32(32768)
    return change_speed(pcm, rate_hz / SAMPLE_RATE_HZ)

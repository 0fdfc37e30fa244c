"""Synthetic sounds that are not crying: negatives that a cry detector is trained against.

Recorded negatives cover few of the sounds of a home, and a detector that has never met a steady
tone takes it for a cry. Each family here draws new parameters at every call, so that what is learnt
is the kind of sound. A test of generalisation needs generators that share nothing with these: the
voices that sing and swing here are pulses through resonances, those of the tests sums of sines;
sirens, plucked strings and toy melodies are kept out of this module.

Every family is a function of a random generator and a number of samples. It returns float64 of that
length at no particular level; :func:`negative` sets level, pauses and background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.learning.playback import cheap_electronics, room
from cryvision.learning.voice import VOWELS_HZ, vocal_folds, vocal_tract

CHEAP_CHANCE, ROOM_CHANCE = 0.35, 0.25
"""Share of negatives that cheap electronics play, and that sound in a room."""

_TABLE = 8192

_CHORDS_SEMITONES = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 5, 7), (0, 3, 6, 9), (0, 7, 12))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _curve(
    rng: np.random.Generator, n_samples: int, per_second: float, low: float, high: float
) -> np.ndarray:
    """Draw a random line through knots at a given rate, between two values."""
    knots = rng.uniform(low, high, 2 + int(per_second * n_samples / SAMPLE_RATE_HZ))
    return np.interp(np.linspace(0, len(knots) - 1, n_samples), np.arange(len(knots)), knots)


def _cycles(frequency_hz: np.ndarray) -> np.ndarray:
    return np.cumsum(frequency_hz) / SAMPLE_RATE_HZ


def _steady_cycles(frequency_hz: float, n_samples: int) -> np.ndarray:
    return np.arange(n_samples) * (frequency_hz / SAMPLE_RATE_HZ)


def _harmonics(rng: np.random.Generator, cycles: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """Read a periodic wave, of given harmonic amplitudes and random phases, at a running phase."""
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    phases = rng.uniform(0, 2 * np.pi, len(amplitudes))
    spectrum[1 : 1 + len(amplitudes)] = amplitudes * np.exp(1j * phases) * (_TABLE / 2)
    return np.fft.irfft(spectrum)[(cycles * _TABLE).astype(np.int64) % _TABLE]


def _amplitudes(
    rng: np.random.Generator, highest_f0_hz: float, most: int, decay: float
) -> np.ndarray:
    """Draw harmonic amplitudes that fall as ``k ** -decay``, none above 7 kHz."""
    count = max(1, min(most, int(7000 / highest_f0_hz)))
    return rng.uniform(0.3, 1, count) * np.arange(1, count + 1) ** -decay


def _filtered(sound: np.ndarray, gain_at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weight a sound's spectrum with a gain given as a function of frequency in Hz."""
    gains = gain_at(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ))
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * gains, len(sound)))


def _band(frequency_hz: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Gain of a band with soft edges of about 12 dB an octave."""
    with np.errstate(divide="ignore"):
        low_side = 1 / np.sqrt(1 + (low_hz / frequency_hz) ** 4)
    return np.asarray(low_side / np.sqrt(1 + (frequency_hz / high_hz) ** 4))


def _noise(
    rng: np.random.Generator, n_samples: int, slope: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Gaussian noise whose power density falls as ``f ** -slope``, inside a band."""

    def gain(frequency_hz: np.ndarray) -> np.ndarray:
        power = np.maximum(frequency_hz, 20.0) ** -slope
        return np.asarray(np.sqrt(power / power.max()) * _band(frequency_hz, low_hz, high_hz))

    return _filtered(rng.standard_normal(n_samples), gain)


def _unit(sound: np.ndarray) -> np.ndarray:
    """Scale to a root mean square of 1; silence stays silence."""
    level = np.sqrt(np.mean(sound**2))
    return sound / level if level > 0 else sound


def _spans(
    rng: np.random.Generator,
    n_samples: int,
    on_seconds: tuple[float, float],
    off_seconds: tuple[float, float],
) -> list[tuple[int, int]]:
    """Lay out spans of sound and pauses from a random place on: (start, end) in samples."""
    spans = []
    at = int(rng.uniform(0, min(off_seconds[1], 0.2)) * SAMPLE_RATE_HZ)
    while at < n_samples:
        end = at + max(16, int(rng.uniform(*on_seconds) * SAMPLE_RATE_HZ))
        spans.append((at, min(end, n_samples)))
        at = end + int(rng.uniform(*off_seconds) * SAMPLE_RATE_HZ)
    return spans


def _faded(sound: np.ndarray, seconds: float) -> np.ndarray:
    """Fade both ends, so that a sound does not begin or end with a click."""
    edge = max(1, int(seconds * SAMPLE_RATE_HZ))
    from_ends = np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1])
    return np.asarray(sound * np.minimum(1, from_ends / edge))


def coloured_noise(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """White to brown noise, often in a band, slowly or (as by a fan's blades) quickly modulated."""
    low_hz, high_hz = 10.0, 8000.0
    if rng.random() < 0.6:
        low_hz = _log_uniform(rng, 20, 1500)
        high_hz = low_hz * _log_uniform(rng, 1.5, 40)
    sound = _noise(rng, n_samples, rng.uniform(0, 2), low_hz, high_hz)
    if rng.random() < 0.6:
        sound = sound * _curve(rng, n_samples, _log_uniform(rng, 0.2, 4), rng.uniform(0.1, 1), 1)
    if rng.random() < 0.3:
        blades = np.sin(2 * np.pi * _steady_cycles(rng.uniform(4, 60), n_samples))
        sound = sound * (1 + rng.uniform(0.1, 0.7) * blades)
    return sound


def hum(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Mains hum, or a motor whose pitch drifts; with noise."""
    if rng.random() < 0.5:
        f0_hz = float(rng.choice([50, 60, 100, 120])) * rng.uniform(0.998, 1.002)
        cycles, highest_hz = _steady_cycles(f0_hz, n_samples), f0_hz
    else:
        f0_hz, drift = _log_uniform(rng, 25, 600), rng.uniform(0, 0.12)
        pitch = f0_hz * (1 + _curve(rng, n_samples, rng.uniform(0.2, 2), -drift, drift))
        cycles, highest_hz = _cycles(pitch), f0_hz * (1 + drift)
    wave = _harmonics(rng, cycles, _amplitudes(rng, highest_hz, 40, rng.uniform(0.3, 2)))
    noise = _unit(_noise(rng, n_samples, rng.uniform(0, 2), 20, _log_uniform(rng, 300, 7000)))
    return _unit(wave) + noise * _log_uniform(rng, 0.01, 1)


def clicks(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Ticks, knocks, rattles and doors: short decaying resonances, regular or at random."""
    length = int(0.25 * SAMPLE_RATE_HZ)
    times_s = np.arange(length) / SAMPLE_RATE_HZ
    spectrum: np.ndarray | float = 0.0
    for _ in range(rng.integers(1, 4)):
        kernel = rng.standard_normal(length) * np.exp(-times_s / _log_uniform(rng, 0.0005, 0.03))
        for _ in range(rng.integers(0, 5)):
            ring = np.sin(2 * np.pi * _log_uniform(rng, 70, 4000) * times_s)
            kernel += ring * np.exp(-times_s / _log_uniform(rng, 0.002, 0.04)) * rng.uniform(0.3, 4)
        rate_hz = _log_uniform(rng, 0.7, 40)
        count = 1 + rng.poisson(rate_hz * n_samples / SAMPLE_RATE_HZ)
        places = rng.integers(0, n_samples, count)
        if rng.random() < 0.5:
            places = places[0] % int(SAMPLE_RATE_HZ / rate_hz)
            places = places + np.arange(count) * int(SAMPLE_RATE_HZ / rate_hz)
        hits = np.zeros(n_samples + length)
        hits[places % n_samples] = np.exp(rng.normal(0, rng.uniform(0.05, 0.8), count))
        spectrum = spectrum + np.fft.rfft(hits) * np.fft.rfft(kernel, len(hits))
    return np.asarray(np.fft.irfft(spectrum, n_samples + length)[:n_samples])


def tones(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """One to five steady sines or square-like tones, together."""
    sound = np.zeros(n_samples)
    for _ in range(rng.integers(1, 6)):
        f0_hz = _log_uniform(rng, 60, 3400)
        amplitudes = np.ones(1)
        if rng.random() < 0.4:
            amplitudes = _amplitudes(rng, f0_hz, 30, rng.uniform(0.7, 1.5))
            amplitudes[1::2] *= rng.choice([0.0, 0.05, 1.0])
        wave = _harmonics(rng, _steady_cycles(f0_hz, n_samples), amplitudes)
        sound += wave * _log_uniform(rng, 0.2, 1)
    return sound


def beeps(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Alarms, phones and appliances: groups of short tones at one or two pitches."""
    pitches_hz = [_log_uniform(rng, 300, 3400) for _ in range(rng.integers(1, 3))]
    both = len(pitches_hz) == 2 and rng.random() < 0.4
    on_s, off_s = _log_uniform(rng, 0.04, 0.7), _log_uniform(rng, 0.03, 0.6)
    in_group, pause_s = int(rng.integers(1, 7)), rng.uniform(0, 1.5)
    voices = [_amplitudes(rng, p, int(rng.integers(1, 12)), 1.0) for p in pitches_hz]
    sound = np.zeros(n_samples)
    at, count = int(rng.uniform(0, 0.3) * SAMPLE_RATE_HZ), 0
    while at < n_samples:
        n = min(int(on_s * SAMPLE_RATE_HZ), n_samples - at)
        chosen = range(2) if both else (count % len(pitches_hz),)
        for which in chosen:
            wave = _harmonics(rng, _steady_cycles(pitches_hz[which], n), voices[which])
            sound[at : at + n] += _faded(wave, 0.004)
        count += 1
        at += int((on_s + off_s + (pause_s if count % in_group == 0 else 0)) * SAMPLE_RATE_HZ)
    return sound


def sweeps(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Separate chirps up or down, slow and fast, straight in pitch or in frequency."""
    sound = np.zeros(n_samples)
    slowest_s = _log_uniform(rng, 0.15, 4)
    for start, end in _spans(rng, n_samples, (0.1, slowest_s), (0.02, 0.6)):
        first_hz, last_hz = _log_uniform(rng, 80, 3400), _log_uniform(rng, 80, 3400)
        way = np.linspace(0, 1, end - start)
        pitch = first_hz + (last_hz - first_hz) * way
        if rng.random() < 0.5:
            pitch = first_hz * (last_hz / first_hz) ** way
        most = int(rng.choice([1, 4, 15]))
        amplitudes = _amplitudes(rng, max(first_hz, last_hz), most, rng.uniform(0.5, 2))
        wave = _harmonics(rng, _cycles(pitch), amplitudes)
        sound[start:end] = _faded(wave, rng.uniform(0.005, 0.05))
    return sound


def chords(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Changing chords of harmonic notes, held as by an organ or dying away as from a piano."""
    decay_s = rng.uniform(0.2, 1.5) if rng.random() < 0.5 else np.inf
    home_hz, tilt = _log_uniform(rng, 80, 600), rng.uniform(0.6, 2)
    sound = np.zeros(n_samples)
    for start, end in _spans(rng, n_samples, (0.5, 3), (0, 0.15)):
        root_hz = home_hz * 2 ** (rng.integers(-7, 8) / 12)
        steps = _CHORDS_SEMITONES[rng.integers(len(_CHORDS_SEMITONES))]
        for step in steps:
            note_hz = root_hz * 2 ** (step / 12) * rng.uniform(0.998, 1.002)
            wave = _harmonics(
                rng, _steady_cycles(note_hz, end - start), _amplitudes(rng, note_hz, 20, tilt)
            )
            sound[start:end] += wave
        fading = np.exp(-np.arange(end - start) / (decay_s * SAMPLE_RATE_HZ))
        sound[start:end] = _faded(sound[start:end] * fading, 0.01)
    return sound


def notes(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Single steady notes one after the other, as of an organ, a horn or a reed."""
    home_hz, decay = _log_uniform(rng, 150, 1500), rng.uniform(0, 1.5)
    odd_alone, n_harmonics = rng.random() < 0.4, int(rng.integers(3, 40))
    note_s, gap_s = _log_uniform(rng, 0.08, 1.0), rng.uniform(0, 0.3)
    sound = np.zeros(n_samples)
    for start, end in _spans(rng, n_samples, (note_s, 2 * note_s), (0.0, gap_s)):
        note_hz = home_hz * 2 ** rng.uniform(-1, 1)
        amplitudes = _amplitudes(rng, note_hz, n_harmonics, decay)
        amplitudes[1::2] *= 0.0 if odd_alone else 1.0
        wave = _harmonics(rng, _steady_cycles(note_hz, end - start), amplitudes)
        sound[start:end] = _faded(_unit(wave), _log_uniform(rng, 0.002, 0.06))
    return sound


def synthetic_speech(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A talking voice, a man's to a child's: syllables of vowels, hisses and pauses."""
    f0_hz = _log_uniform(rng, 80, 330)
    # Vocal tracts shorten as voices rise: formants of a child lie a third above a man's.
    tract = np.clip((f0_hz / 120) ** 0.3, 0.9, 1.4) * rng.uniform(0.92, 1.08)
    rate_hz = rng.uniform(3, 6)
    n_syllables = 2 + int(rate_hz * n_samples / SAMPLE_RATE_HZ)
    lengths_s = rng.uniform(0.7, 1.3, n_syllables) / rate_hz
    pauses_s = np.where(rng.random(n_syllables) < 0.22, rng.uniform(0.1, 0.8, n_syllables), 0)
    starts_s = np.cumsum(lengths_s + pauses_s) - lengths_s
    loudness = rng.uniform(0.4, 1, n_syllables)
    bends = starts_s[:, None] + lengths_s[:, None] * np.array([0, 0.25, 0.7, 0.97])
    heights = loudness[:, None] * np.array([0, 1, 0.75, 0])
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    envelope = np.interp(times_s, bends.reshape(-1), heights.reshape(-1))
    pitch = f0_hz * np.exp(rng.normal(0, rng.uniform(0.04, 0.18), n_syllables))
    line = np.clip(np.interp(times_s, starts_s, pitch), 70, 400)
    breath = rng.standard_normal(n_samples)
    source = envelope * (vocal_folds(rng, line) + breath * _log_uniform(rng, 0.02, 0.3))
    vowels = VOWELS_HZ[rng.integers(len(VOWELS_HZ), size=n_syllables)] * tract
    formants = np.column_stack([vowels, np.full(n_syllables, 3400 * tract)])
    voice = vocal_tract(rng, source, starts_s + 0.4 * lengths_s, formants)
    hissed = np.where(rng.random(n_syllables) < 0.4, rng.uniform(0.2, 1.0, n_syllables), 0)
    edges = starts_s[:, None] + lengths_s[:, None] * np.array([-0.25, -0.1, 0.1, 0.2])
    puffs = hissed[:, None] * np.array([0.0, 1.0, 1.0, 0.0])
    hiss = _filtered(breath, lambda f: _band(f, 2200 * tract, 5500 * tract))
    hiss *= np.interp(times_s, np.maximum.accumulate(edges.reshape(-1)), puffs.reshape(-1))
    return _unit(voice) + hiss * rng.uniform(0.1, 0.5)


def laughter(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Series of three to ten short breathy vowels, four to six a second, and pauses."""
    f0_hz, breathiness = _log_uniform(rng, 160, 520), _log_uniform(rng, 0.1, 1)
    knots: list[tuple[float, float, float, float]] = []
    at_s, end_s = rng.uniform(0, 0.3), n_samples / SAMPLE_RATE_HZ
    while at_s < end_s or not knots:
        rate_hz, count = rng.uniform(4, 6), int(rng.integers(3, 11))
        start_hz, fall, loud = f0_hz * rng.uniform(0.8, 1.2), rng.uniform(0.6, 1.05), 1.0
        for k in range(count):
            length_s = rng.uniform(0.06, 0.15)
            top_hz = np.clip(start_hz * fall ** (k / count) * rng.uniform(0.92, 1.08), 150, 600)
            foot_hz = top_hz * rng.uniform(0.75, 1.0)
            loud *= rng.uniform(0.85, 1.05)
            knots += [
                (at_s - 0.03, 0.0, 0.0, top_hz),
                (at_s, 0.0, loud, top_hz),
                (at_s + 0.25 * length_s, loud, 0.4 * loud, top_hz),
                (at_s + length_s, 0.0, 0.3 * loud, foot_hz),
                (at_s + length_s + 0.04, 0.0, 0.0, foot_hz),
            ]
            at_s += max(1 / rate_hz, length_s + 0.075)
        at_s += rng.uniform(0.3, 1.5)
    places_s, voiced, breathed, pitch = np.array(knots).T
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    line = np.interp(times_s, places_s, pitch)
    source = vocal_folds(rng, line) * np.interp(times_s, places_s, voiced)
    puffs = rng.standard_normal(n_samples) * np.interp(times_s, places_s, breathed)
    tract = np.clip((f0_hz / 150) ** 0.3, 0.95, 1.5)
    formants = np.append(VOWELS_HZ[rng.choice([2, 3, 4, 6, 8])], 3400)[None, :] * tract
    return vocal_tract(rng, source + puffs * breathiness, np.zeros(1), formants)


def singing(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A voice that sings or hums: long vowels on notes of a scale, gliding over, with vibrato."""
    home_hz, note_s = _log_uniform(rng, 110, 500), _log_uniform(rng, 0.25, 1.8)
    n_notes = 2 + int(n_samples / SAMPLE_RATE_HZ / (0.7 * note_s))
    lengths_s = note_s * rng.uniform(0.7, 1.4, n_notes)
    starts_s = np.cumsum(lengths_s) - lengths_s
    steps = rng.choice([0, 2, 4, 5, 7, 9, 11, 12], n_notes) + 12 * rng.integers(-1, 1, n_notes)
    glide_s = rng.uniform(0.03, 0.2)
    bends = np.stack([starts_s, np.maximum(starts_s + lengths_s - glide_s, starts_s)], axis=1)
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    heights = np.repeat(home_hz * 2 ** (steps / 12), 2)
    line = np.interp(times_s, bends.reshape(-1), heights)
    depth = rng.uniform(0, 0.05) * _curve(rng, n_samples, 1.0, 0, 1)
    line = line * (1 + depth * np.sin(2 * np.pi * _steady_cycles(rng.uniform(4, 8), n_samples)))
    line = np.clip(line, 70, 1100)
    breath = rng.standard_normal(n_samples) * _log_uniform(rng, 0.01, 0.2)
    tract = np.clip((home_hz / 150) ** 0.3, 0.9, 1.5) * rng.uniform(0.95, 1.05)
    vowels = VOWELS_HZ[rng.integers(len(VOWELS_HZ), size=n_notes)] * tract
    formants = np.column_stack([vowels, np.full(n_notes, 3400 * tract)])
    loud = np.interp(times_s, starts_s, rng.uniform(0.3, 1, n_notes))
    return vocal_tract(rng, (vocal_folds(rng, line) + breath) * loud, starts_s, formants)


def bowed(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Strings and winds: held notes of many harmonics that swell, swing and slide."""
    home_hz, tilt = _log_uniform(rng, 150, 900), rng.uniform(0.5, 1.6)
    sound = np.zeros(n_samples)
    for start, end in _spans(rng, n_samples, (0.4, 3), (0, 0.4)):
        n = end - start
        first_hz = home_hz * 2 ** (rng.integers(-7, 8) / 12)
        slide = np.interp(np.arange(n), [0, 0.1 * SAMPLE_RATE_HZ], [rng.uniform(0.94, 1.06), 1])
        swing = rng.uniform(0, 0.03) * np.sin(2 * np.pi * _steady_cycles(rng.uniform(4, 8), n))
        pitch = first_hz * slide * (1 + swing)
        wave = _harmonics(rng, _cycles(pitch), _amplitudes(rng, 1.1 * first_hz, 25, tilt))
        swell = _curve(rng, n, 2.0, 0.3, 1)
        sound[start:end] = _faded(wave * swell, _log_uniform(rng, 0.02, 0.15))
    return sound


def babble(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Several people talking at once: two voices, each also heard from another moment on."""
    voices = [_unit(synthetic_speech(rng, n_samples)) for _ in range(2)]
    voices += [np.roll(voice, rng.integers(n_samples)) for voice in voices]
    return np.asarray(sum(voice * _log_uniform(rng, 0.2, 1) for voice in voices))


def rumble_and_wind(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Low rumble, and wind whose strength and pitch move together in gusts."""
    rumble = _unit(_noise(rng, n_samples, rng.uniform(1, 2), 15, _log_uniform(rng, 60, 300)))
    gusts = _curve(rng, n_samples, _log_uniform(rng, 0.3, 2), 0, 1)
    low_hz, high_hz = _log_uniform(rng, 150, 500), _log_uniform(rng, 600, 2500)
    width = rng.uniform(1.1, 2)
    calm = _unit(_noise(rng, n_samples, 0, low_hz, low_hz * width))
    strong = _unit(_noise(rng, n_samples, 0, high_hz, high_hz * width))
    wind = gusts * ((1 - gusts) * calm + gusts * strong)
    return np.asarray(rumble * rng.uniform(0.05, 1) * (0.3 + gusts) + wind * rng.uniform(0, 2))


def animal_like(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Barks and chirps: harmonic bursts shorter than a quarter of a second."""
    sound = np.zeros(n_samples)
    bird = rng.random() < 0.5
    base_hz = _log_uniform(rng, 1200, 4000) if bird else _log_uniform(rng, 150, 900)
    longest_s, widest_pause_s = rng.uniform(0.06, 0.24), _log_uniform(rng, 0.1, 1.2)
    for start, end in _spans(rng, n_samples, (0.03, longest_s), (0.04, widest_pause_s)):
        first_hz, last_hz = base_hz * rng.uniform(0.7, 1.4, 2)
        pitch = np.linspace(first_hz, last_hz, end - start)
        amplitudes = _amplitudes(rng, max(first_hz, last_hz), 2 if bird else 25, 0.8)
        burst = _harmonics(rng, _cycles(pitch), amplitudes)
        if not bird:
            burst = burst + rng.normal(0, rng.uniform(0.02, 0.5), end - start)
        sound[start:end] = _faded(burst, 0.01) * rng.uniform(0.3, 1)
    return sound


_KINDS = {
    "tonal": (tones, beeps, sweeps),
    "music": (chords, notes, bowed),
    "noise": (coloured_noise, hum, clicks, rumble_and_wind),
    "living": (synthetic_speech, singing, laughter, babble, animal_like),
}

KINDS = {family.__name__: kind for kind, families in _KINDS.items() for family in families}
"""What kind of sound each family is. Crying may be heard under noise, and be taken for music."""

NEGATIVES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    family.__name__: family for families in _KINDS.values() for family in families
}
"""The families by name."""


def negative(rng: np.random.Generator, family: str, seconds: float) -> np.ndarray:
    """Draw one sound that is not crying.

    Some of the sounds come from cheap electronics, some from a room. The level is random (-50 to
    -8 dBFS where it sounds, less if it would clip), half of the draws have pauses, and half a quiet
    background of noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness: the same state gives the same sound.
    family : str
        One of :data:`NEGATIVES`.
    seconds : float
        Length; must be positive.

    Returns
    -------
    ndarray
        float32, shape (round(seconds * 16000),), 16 kHz, within -1 to 1.

    Raises
    ------
    ConfigError
        On an unknown family or a length that is not positive.
    """
    if family not in NEGATIVES:
        raise ConfigError(f"family must be one of {', '.join(NEGATIVES)}; got {family!r}")
    n_samples = round(seconds * SAMPLE_RATE_HZ) if np.isfinite(seconds) else 0
    if n_samples < 1:
        raise ConfigError(f"seconds must be positive and finite; got {seconds:g}")
    sound = NEGATIVES[family](rng, n_samples)
    if rng.random() < CHEAP_CHANCE:
        sound = cheap_electronics(rng, sound)
    sounding = np.sqrt(np.mean(sound**2))
    if rng.random() < 0.5:
        pattern = np.zeros(n_samples)
        for start, end in _spans(rng, n_samples, (0.3, 3.0), (0.1, 1.5)):
            pattern[start:end] = _faded(np.ones(end - start), _log_uniform(rng, 0.005, 0.2))
        sound = sound * pattern
    if rng.random() < ROOM_CHANCE:
        sound = room(rng, sound)
    if rng.random() < 0.5:
        background = _unit(_noise(rng, n_samples, rng.uniform(0, 2), 20, 8000))
        sound = sound + background * sounding * 10 ** (rng.uniform(-50, -15) / 20)
    peak = np.abs(sound).max()
    if peak > 0:
        sound = sound * min(10 ** (rng.uniform(-50, -8) / 20) / sounding, 1 / peak)
    return sound.astype(np.float32)

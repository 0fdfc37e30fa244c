"""Tones, music and noise that are not crying, and what all synthetic sounds are made of.

Every family is a function of a random generator and a number of samples. It returns float64 of that
length at no particular level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ

_TABLE = 8192

_MAJOR_SEMITONES = (0, 2, 4, 5, 7, 9, 11, 12, 14, 16)
_CHORDS_SEMITONES = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 5, 7), (0, 3, 6, 9), (0, 7, 12))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_curve(
    rng: np.random.Generator, n_samples: int, per_second: float, low: float, high: float
) -> np.ndarray:
    """Draw a random line through knots at a given rate, between two values."""
    knots = rng.uniform(low, high, 2 + int(per_second * n_samples / SAMPLE_RATE_HZ))
    return np.interp(np.linspace(0, len(knots) - 1, n_samples), np.arange(len(knots)), knots)


def cycles_of(frequency_hz: np.ndarray) -> np.ndarray:
    """Give the running phase, in cycles, of a pitch that changes."""
    return np.cumsum(frequency_hz) / SAMPLE_RATE_HZ


def steady_cycles(frequency_hz: float, n_samples: int) -> np.ndarray:
    """Give the running phase, in cycles, of a steady pitch."""
    return np.arange(n_samples) * (frequency_hz / SAMPLE_RATE_HZ)


def harmonic_wave(
    rng: np.random.Generator, cycles: np.ndarray, amplitudes: np.ndarray
) -> np.ndarray:
    """Read a periodic wave, of given harmonic amplitudes and random phases, at a running phase."""
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    phases = rng.uniform(0, 2 * np.pi, len(amplitudes))
    spectrum[1 : 1 + len(amplitudes)] = amplitudes * np.exp(1j * phases) * (_TABLE / 2)
    return np.fft.irfft(spectrum)[(cycles * _TABLE).astype(np.int64) % _TABLE]


def random_amplitudes(
    rng: np.random.Generator, highest_f0_hz: float, most: int, decay: float
) -> np.ndarray:
    """Draw harmonic amplitudes that fall as ``k ** -decay``, none above 7 kHz."""
    count = max(1, min(most, int(7000 / highest_f0_hz)))
    return rng.uniform(0.3, 1, count) * np.arange(1, count + 1) ** -decay


def filtered(sound: np.ndarray, gain_at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weight a sound's spectrum with a gain given as a function of frequency in Hz."""
    gains = gain_at(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ))
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * gains, len(sound)))


def band_gain(frequency_hz: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Gain of a band with soft edges of about 12 dB an octave."""
    with np.errstate(divide="ignore"):
        low_side = 1 / np.sqrt(1 + (low_hz / frequency_hz) ** 4)
    return np.asarray(low_side / np.sqrt(1 + (frequency_hz / high_hz) ** 4))


def band_noise(
    rng: np.random.Generator, n_samples: int, slope: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Gaussian noise whose power density falls as ``f ** -slope``, inside a band."""

    def gain(frequency_hz: np.ndarray) -> np.ndarray:
        power = np.maximum(frequency_hz, 20.0) ** -slope
        return np.asarray(np.sqrt(power / power.max()) * band_gain(frequency_hz, low_hz, high_hz))

    return filtered(rng.standard_normal(n_samples), gain)


def unit_level(sound: np.ndarray) -> np.ndarray:
    """Scale to a root mean square of 1; silence stays silence."""
    level = np.sqrt(np.mean(sound**2))
    return sound / level if level > 0 else sound


def random_spans(
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


def faded(sound: np.ndarray, seconds: float) -> np.ndarray:
    """Fade both ends, so that a sound does not begin or end with a click."""
    edge = max(1, int(seconds * SAMPLE_RATE_HZ))
    from_ends = np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1])
    return np.asarray(sound * np.minimum(1, from_ends / edge))


def coloured_noise(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """White to brown noise, often in a band, slowly or (as by a fan's blades) quickly modulated."""
    low_hz, high_hz = 10.0, 8000.0
    if rng.random() < 0.6:
        low_hz = log_uniform(rng, 20, 1500)
        high_hz = low_hz * log_uniform(rng, 1.5, 40)
    sound = band_noise(rng, n_samples, rng.uniform(0, 2), low_hz, high_hz)
    if rng.random() < 0.6:
        sound = sound * random_curve(
            rng, n_samples, log_uniform(rng, 0.2, 4), rng.uniform(0.1, 1), 1
        )
    if rng.random() < 0.3:
        blades = np.sin(2 * np.pi * steady_cycles(rng.uniform(4, 60), n_samples))
        sound = sound * (1 + rng.uniform(0.1, 0.7) * blades)
    return sound


def hum(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Mains hum, or a motor whose pitch drifts; with noise."""
    if rng.random() < 0.5:
        f0_hz = float(rng.choice([50, 60, 100, 120])) * rng.uniform(0.998, 1.002)
        cycles, highest_hz = steady_cycles(f0_hz, n_samples), f0_hz
    else:
        f0_hz, drift = log_uniform(rng, 25, 600), rng.uniform(0, 0.12)
        pitch = f0_hz * (1 + random_curve(rng, n_samples, rng.uniform(0.2, 2), -drift, drift))
        cycles, highest_hz = cycles_of(pitch), f0_hz * (1 + drift)
    wave = harmonic_wave(rng, cycles, random_amplitudes(rng, highest_hz, 40, rng.uniform(0.3, 2)))
    noise = unit_level(
        band_noise(rng, n_samples, rng.uniform(0, 2), 20, log_uniform(rng, 300, 7000))
    )
    return unit_level(wave) + noise * log_uniform(rng, 0.01, 1)


def clicks(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Ticks, knocks, rattles and doors: short decaying resonances, regular or at random."""
    length = int(0.25 * SAMPLE_RATE_HZ)
    times_s = np.arange(length) / SAMPLE_RATE_HZ
    spectrum: np.ndarray | float = 0.0
    for _ in range(rng.integers(1, 4)):
        kernel = rng.standard_normal(length) * np.exp(-times_s / log_uniform(rng, 0.0005, 0.03))
        for _ in range(rng.integers(0, 5)):
            ring = np.sin(2 * np.pi * log_uniform(rng, 70, 4000) * times_s)
            kernel += ring * np.exp(-times_s / log_uniform(rng, 0.002, 0.04)) * rng.uniform(0.3, 4)
        rate_hz = log_uniform(rng, 0.7, 40)
        count = 1 + rng.poisson(rate_hz * n_samples / SAMPLE_RATE_HZ)
        onsets = rng.integers(0, n_samples, count)
        if rng.random() < 0.5:
            onsets = onsets[0] % int(SAMPLE_RATE_HZ / rate_hz)
            onsets = onsets + np.arange(count) * int(SAMPLE_RATE_HZ / rate_hz)
        hits = np.zeros(n_samples + length)
        hits[onsets % n_samples] = np.exp(rng.normal(0, rng.uniform(0.05, 0.8), count))
        spectrum = spectrum + np.fft.rfft(hits) * np.fft.rfft(kernel, len(hits))
    return np.asarray(np.fft.irfft(spectrum, n_samples + length)[:n_samples])


def tones(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """One to five steady sines or square-like tones, together."""
    sound = np.zeros(n_samples)
    for _ in range(rng.integers(1, 6)):
        f0_hz = log_uniform(rng, 60, 3400)
        amplitudes = np.ones(1)
        if rng.random() < 0.4:
            amplitudes = random_amplitudes(rng, f0_hz, 30, rng.uniform(0.7, 1.5))
            amplitudes[1::2] *= rng.choice([0.0, 0.05, 1.0])
        wave = harmonic_wave(rng, steady_cycles(f0_hz, n_samples), amplitudes)
        sound += wave * log_uniform(rng, 0.2, 1)
    return sound


def beeps(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Alarms, phones and appliances: groups of short tones at one or two pitches."""
    pitches_hz = [log_uniform(rng, 300, 3400) for _ in range(rng.integers(1, 3))]
    both = len(pitches_hz) == 2 and rng.random() < 0.4
    on_s, off_s = log_uniform(rng, 0.04, 0.7), log_uniform(rng, 0.03, 0.6)
    in_group, pause_s = int(rng.integers(1, 7)), rng.uniform(0, 1.5)
    voices = [random_amplitudes(rng, p, int(rng.integers(1, 12)), 1.0) for p in pitches_hz]
    sound = np.zeros(n_samples)
    at, count = int(rng.uniform(0, 0.3) * SAMPLE_RATE_HZ), 0
    while at < n_samples:
        n = min(int(on_s * SAMPLE_RATE_HZ), n_samples - at)
        chosen = range(2) if both else (count % len(pitches_hz),)
        for which in chosen:
            wave = harmonic_wave(rng, steady_cycles(pitches_hz[which], n), voices[which])
            sound[at : at + n] += faded(wave, 0.004)
        count += 1
        at += int((on_s + off_s + (pause_s if count % in_group == 0 else 0)) * SAMPLE_RATE_HZ)
    return sound


def sweeps(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Separate chirps up or down, slow and fast, straight in pitch or in frequency."""
    sound = np.zeros(n_samples)
    slowest_s = log_uniform(rng, 0.15, 4)
    for start, end in random_spans(rng, n_samples, (0.1, slowest_s), (0.02, 0.6)):
        first_hz, last_hz = log_uniform(rng, 80, 3400), log_uniform(rng, 80, 3400)
        way = np.linspace(0, 1, end - start)
        pitch = first_hz + (last_hz - first_hz) * way
        if rng.random() < 0.5:
            pitch = first_hz * (last_hz / first_hz) ** way
        most = int(rng.choice([1, 4, 15]))
        amplitudes = random_amplitudes(rng, max(first_hz, last_hz), most, rng.uniform(0.5, 2))
        wave = harmonic_wave(rng, cycles_of(pitch), amplitudes)
        sound[start:end] = faded(wave, rng.uniform(0.005, 0.05))
    return sound


def chords(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Changing chords of harmonic notes, held as by an organ or dying away as from a piano."""
    decay_s = rng.uniform(0.2, 1.5) if rng.random() < 0.5 else np.inf
    home_hz, tilt = log_uniform(rng, 80, 600), rng.uniform(0.6, 2)
    sound = np.zeros(n_samples)
    for start, end in random_spans(rng, n_samples, (0.5, 3), (0, 0.15)):
        root_hz = home_hz * 2 ** (rng.integers(-7, 8) / 12)
        steps = _CHORDS_SEMITONES[rng.integers(len(_CHORDS_SEMITONES))]
        for step in steps:
            note_hz = root_hz * 2 ** (step / 12) * rng.uniform(0.998, 1.002)
            wave = harmonic_wave(
                rng, steady_cycles(note_hz, end - start), random_amplitudes(rng, note_hz, 20, tilt)
            )
            sound[start:end] += wave
        fading = np.exp(-np.arange(end - start) / (decay_s * SAMPLE_RATE_HZ))
        sound[start:end] = faded(sound[start:end] * fading, 0.01)
    return sound


def notes(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Single steady notes one after the other, as of an organ, a horn or a reed."""
    home_hz, decay = log_uniform(rng, 150, 1500), rng.uniform(0, 1.5)
    odd_alone, n_harmonics = rng.random() < 0.4, int(rng.integers(3, 40))
    note_s, gap_s = log_uniform(rng, 0.08, 1.0), rng.uniform(0, 0.3)
    sound = np.zeros(n_samples)
    for start, end in random_spans(rng, n_samples, (note_s, 2 * note_s), (0.0, gap_s)):
        note_hz = home_hz * 2 ** rng.uniform(-1, 1)
        amplitudes = random_amplitudes(rng, note_hz, n_harmonics, decay)
        amplitudes[1::2] *= 0.0 if odd_alone else 1.0
        wave = harmonic_wave(rng, steady_cycles(note_hz, end - start), amplitudes)
        sound[start:end] = faded(unit_level(wave), log_uniform(rng, 0.002, 0.06))
    return sound


def music_box(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A mobile or a musical toy: struck bells or soft reeds on a scale, a phrase again and again.

    The bells are frequency modulation (J. Chowning, "The synthesis of complex audio spectra by
    means of frequency modulation", Journal of the Audio Engineering Society 21(7), 1973).
    """
    bells, beat_s = rng.random() < 0.7, log_uniform(rng, 0.12, 0.6)
    home_hz, ring_s = log_uniform(rng, 250, 1200), log_uniform(rng, 0.15, 1.2)
    ratio, index = rng.uniform(1.3, 4.5), rng.uniform(0.3, 3)
    amplitudes = random_amplitudes(rng, 4 * home_hz, 8, rng.uniform(0.8, 2))
    phrase = rng.choice(_MAJOR_SEMITONES, rng.integers(4, 13))
    beats = rng.choice([1, 1, 1, 2], len(phrase))
    length = int(3 * ring_s * SAMPLE_RATE_HZ)
    since_s = np.arange(length) / SAMPLE_RATE_HZ
    fading = np.minimum(since_s / 0.004, 1) * np.exp(-since_s / ring_s)
    sound = np.zeros(n_samples + length)
    at, number = rng.uniform(0, beat_s) * SAMPLE_RATE_HZ, 0
    while at < n_samples:
        note_hz = home_hz * 2 ** (phrase[number % len(phrase)] / 12)
        cycles = note_hz * since_s
        if bells:
            swing = index * np.exp(-2 * since_s / ring_s) * np.sin(2 * np.pi * ratio * cycles)
            wave = np.sin(2 * np.pi * cycles + swing)
        else:
            wave = unit_level(harmonic_wave(rng, cycles, amplitudes))
        sound[int(at) : int(at) + length] += wave * fading * rng.uniform(0.5, 1)
        at += beats[number % len(phrase)] * beat_s * SAMPLE_RATE_HZ
        number += 1
    return sound[:n_samples]


def bowed(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Strings and winds: held notes of many harmonics that swell, swing and slide."""
    home_hz, tilt = log_uniform(rng, 150, 900), rng.uniform(0.5, 1.6)
    n_harmonics = int(log_uniform(rng, 3, 30))
    sound = np.zeros(n_samples)
    for start, end in random_spans(rng, n_samples, (0.4, 3), (0, 0.4)):
        n = end - start
        first_hz = home_hz * 2 ** (rng.integers(-7, 8) / 12)
        slide = np.interp(np.arange(n), [0, 0.1 * SAMPLE_RATE_HZ], [rng.uniform(0.94, 1.06), 1])
        swing = rng.uniform(0, 0.05) * np.sin(2 * np.pi * steady_cycles(rng.uniform(4, 8), n))
        pitch = first_hz * slide * (1 + swing)
        wave = harmonic_wave(
            rng, cycles_of(pitch), random_amplitudes(rng, 1.1 * first_hz, n_harmonics, tilt)
        )
        swell = random_curve(rng, n, 2.0, 0.3, 1)
        sound[start:end] = faded(wave * swell, log_uniform(rng, 0.02, 0.15))
    return sound


def rumble_and_wind(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Low rumble, and wind whose strength and pitch move together in gusts."""
    rumble = unit_level(
        band_noise(rng, n_samples, rng.uniform(1, 2), 15, log_uniform(rng, 60, 300))
    )
    gusts = random_curve(rng, n_samples, log_uniform(rng, 0.3, 2), 0, 1)
    low_hz, high_hz = log_uniform(rng, 150, 500), log_uniform(rng, 600, 2500)
    width = rng.uniform(1.1, 2)
    calm = unit_level(band_noise(rng, n_samples, 0, low_hz, low_hz * width))
    strong = unit_level(band_noise(rng, n_samples, 0, high_hz, high_hz * width))
    wind = gusts * ((1 - gusts) * calm + gusts * strong)
    return np.asarray(rumble * rng.uniform(0.05, 1) * (0.3 + gusts) + wind * rng.uniform(0, 2))

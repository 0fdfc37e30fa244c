"""Changed copies of clips for training: speed, noise, equalisation, rooms, level and codecs.

For training clips only: nothing here runs when a clip is classified. Everything takes and returns
mono sound at 16 kHz, shape (n,), and leaves its input as it was. Only :func:`change_speed` moves
anything in time; after every other function a label still fits. What is not finite sound, and a
setting out of its range, is a ConfigError.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, check_choice
from cryvision.errors import ConfigError, MediaError, MissingDependencyError
from cryvision.inputs.ffmpeg import find_ffmpeg

SPEED_FACTORS = (0.25, 4.0)
"""Slowest and fastest accepted change of speed."""

CODING_TIMEOUT_SECONDS = 60.0
"""Coding runs hundreds of times faster than the sound; longer than this means that it is stuck."""

_EQUALISER_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_FIRST_ECHO_SECONDS = (0.002, 0.012)
_DIRECT_TO_REVERBERANT_DB = (-3.0, 12.0)
_TAIL_SAMPLES = SAMPLE_RATE_HZ // 4
_LARGEST_DELAY_SAMPLES = SAMPLE_RATE_HZ // 4


@dataclass(frozen=True)
class _Codec:
    encoder: str
    container: str
    rate_hz: int
    bit_rate: str | None = None


_CODECS = {
    "amr-nb": _Codec("libopencore_amrnb", "amr", 8000, "12.2k"),
    "g723.1": _Codec("g723_1", "g723_1", 8000, "6.3k"),
    "gsm": _Codec("libgsm", "gsm", 8000, "13k"),
    "g726": _Codec("g726", "wav", 8000, "32k"),
    "alaw": _Codec("pcm_alaw", "wav", 8000),
    "mulaw": _Codec("pcm_mulaw", "wav", 8000),
    "g722": _Codec("g722", "wav", 16000),
    "adpcm": _Codec("adpcm_ima_wav", "wav", 16000),
    "aac": _Codec("aac", "matroska", 16000, "32k"),
    "mp3": _Codec("libmp3lame", "mp3", 16000, "32k"),
    "opus": _Codec("libopus", "ogg", 16000, "24k"),
    "vorbis": _Codec("libvorbis", "ogg", 16000, "48k"),
}

CODECS = tuple(_CODECS)
"""Names for :func:`code`; the first six are telephony at 8 kHz."""


def checked(samples: np.ndarray, name: str = "samples") -> np.ndarray:
    """Give samples back, or refuse with ConfigError what is not finite sound of shape (n,)."""
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise ConfigError(
            f"{name} must be finite floating-point sound of shape (n,); got "
            f"{samples.dtype} of shape {samples.shape}"
        )
    if not np.isfinite(samples).all():
        raise ConfigError(f"{name} must be finite floating-point sound; got NaN or infinity")
    return samples


def _filtered(samples: np.ndarray, gains: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weight the spectrum by gains at frequencies in Hz, without moving anything in time."""
    from scipy.fft import next_fast_len

    # Silence behind the sound keeps its end from ringing into its start.
    n_fft = next_fast_len(len(samples) + 1024, real=True)
    weights = gains(np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ))
    filtered = np.fft.irfft(np.fft.rfft(samples, n_fft) * weights, n_fft)
    return filtered[: len(samples)].astype(np.float32)


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play faster or slower: tempo and pitch change together, as with a tape.

    Labels do not move along: multiply every time of a label by ``1 / factor``. A factor of 2 (0.25
    to 4) halves the length and raises the pitch by an octave. Nothing is aliased: what would rise
    above 8 kHz is removed.
    """
    from scipy.fft import next_fast_len

    samples = checked(samples)
    if not SPEED_FACTORS[0] <= factor <= SPEED_FACTORS[1]:
        raise ConfigError(
            f"factor must be {SPEED_FACTORS[0]:g} to {SPEED_FACTORS[1]:g}; got {factor:g}"
        )
    # Silence behind the sound keeps its end from ringing into its start.
    n_in: int = next_fast_len(len(samples) + 1024, real=True)
    n_out = round(n_in / factor)
    spectrum = np.fft.rfft(samples, n_in)[: n_out // 2 + 1]
    changed = np.fft.irfft(spectrum, n_out) * (n_out / n_in)
    return changed[: round(len(samples) / factor)].astype(np.float32)


def add_noise(
    samples: np.ndarray, noise: np.ndarray, snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Add noise of any level from a random place on, repeated where it is too short.

    ``snr_db`` is the power of the whole sound over that of the noise. The result may go beyond full
    scale. Where either is silent there is no such ratio, and the samples come back unchanged.
    """
    samples, noise = checked(samples), checked(noise, "noise")
    if not np.isfinite(snr_db):
        raise ConfigError(f"snr_db must be finite; got {snr_db:g}")
    if not samples.any() or not noise.any():
        return samples.astype(np.float32)
    start = int(rng.integers(len(noise)))
    added = np.resize(np.roll(noise, -start), len(samples)).astype(np.float64)
    power = np.mean(np.square(added))
    if power == 0:
        return samples.astype(np.float32)
    target = np.mean(np.square(samples, dtype=np.float64)) * 10 ** (-snr_db / 10)
    mixed = samples + added * np.sqrt(target / power)
    return np.asarray(mixed, dtype=np.float32)


def equalise(samples: np.ndarray, rng: np.random.Generator, strength_db: float = 6.0) -> np.ndarray:
    """Weight the spectrum with a smooth random curve, as another microphone or room would.

    The gain of each octave lies within plus and minus ``strength_db``.
    """
    samples = checked(samples)
    if not 0 <= strength_db < np.inf:
        raise ConfigError(f"strength_db must be 0 or more and finite; got {strength_db:g}")
    gains_db = rng.uniform(-strength_db, strength_db, len(_EQUALISER_HZ))

    def gains(frequency_hz: np.ndarray) -> np.ndarray:
        octaves = np.log(np.maximum(frequency_hz, 1.0))
        return np.asarray(10 ** (np.interp(octaves, np.log(_EQUALISER_HZ), gains_db) / 20))

    return _filtered(samples, gains)


def low_pass(samples: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Take away what is above a frequency, as a recording at a lower rate does: 120 dB an octave.

    At the cutoff, above 0, 3 dB are taken away.
    """
    return _filtered(checked(samples), lambda hz: 1 / np.sqrt(1 + (hz / cutoff_hz) ** 40))


def reverberate(samples: np.ndarray, rng: np.random.Generator, rt60_seconds: float) -> np.ndarray:
    """Put the sound into a room: decaying noise as its response, the direct sound kept as it is.

    Drawn are the response, its first echo (2 to 12 ms) and its energy (-3 to 12 dB below the direct
    sound's). It falls by 60 dB in ``rt60_seconds``, up to 5. What rings on after the end is cut
    off; the rest may go beyond full scale.
    """
    from scipy.signal import fftconvolve

    samples = checked(samples)
    if not 0 < rt60_seconds <= 5:
        raise ConfigError(f"rt60_seconds must be above 0 and at most 5; got {rt60_seconds:g}")
    times_s = np.arange(int(rt60_seconds * SAMPLE_RATE_HZ) + 1) / SAMPLE_RATE_HZ
    decay = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / rt60_seconds)
    ratio_db = rng.uniform(*_DIRECT_TO_REVERBERANT_DB)
    decay *= 10 ** (-ratio_db / 20) / np.sqrt(np.sum(decay**2))
    first_echo = int(rng.uniform(*_FIRST_ECHO_SECONDS) * SAMPLE_RATE_HZ)
    response = np.concatenate([np.zeros(first_echo), decay])
    response[0] = 1.0
    wet: np.ndarray = fftconvolve(samples, response)[: len(samples)]
    return wet.astype(np.float32)


def code(samples: np.ndarray, codec: str) -> np.ndarray:
    """Encode and decode with ffmpeg, as a phone or an app would have stored the sound.

    What lies beyond full scale is clipped. The codec, one of :data:`CODECS`, has its delay taken
    out, which is measured on a known sound, once for each codec and ffmpeg.

    Raises
    ------
    MissingDependencyError
        Where there is no ffmpeg, or it has no encoder for the codec; see :func:`available_codecs`.
    MediaError
        When ffmpeg fails or does not come to an end.
    """
    samples = checked(samples)
    check_choice("codec", codec, CODECS)
    program = find_ffmpeg()
    if _CODECS[codec].encoder not in _encoders(program):
        raise MissingDependencyError(
            f"coding as {codec} needs an ffmpeg with the encoder {_CODECS[codec].encoder}; "
            f"{program} has none"
        )
    if len(samples) == 0:
        return samples.astype(np.float32)
    delay = _delay_samples(program, codec)
    decoded = _coded(program, codec, samples)[delay : delay + len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


def available_codecs() -> tuple[str, ...]:
    """Return those of :data:`CODECS` that this machine's ffmpeg can encode."""
    encoders = _encoders(find_ffmpeg())
    return tuple(name for name, codec in _CODECS.items() if codec.encoder in encoders)


@functools.lru_cache(maxsize=4)
def _encoders(program: str) -> frozenset[str]:
    listed = _run([program, "-hide_banner", "-encoders"], b"", "listing its encoders")
    lines = [line.split() for line in listed.decode("utf-8", "replace").splitlines()]
    return frozenset(line[1] for line in lines if len(line) > 1 and line[0].startswith("A"))


@functools.lru_cache(maxsize=64)
def _delay_samples(program: str, codec: str) -> int:
    """Measure by how much a codec makes sound late, by cross-correlation with noise in bursts."""
    from scipy.signal import correlate

    rng = np.random.default_rng(0)
    times_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    smoothing = np.hanning(9) / 4
    bursts = np.convolve(rng.standard_normal(len(times_s)), smoothing, mode="same")
    probe = 0.2 * bursts * (np.sin(2 * np.pi * 3 * times_s) > 0)
    decoded = _coded(program, codec, probe)
    match = correlate(decoded, probe, method="fft")[len(probe) - 1 :]
    return int(np.argmax(match[:_LARGEST_DELAY_SAMPLES]))


def _coded(program: str, codec: str, samples: np.ndarray) -> np.ndarray:
    """Encode and decode, delay and all; silence is added behind so that a delay cuts no sound."""
    kind = _CODECS[codec]
    sound = np.pad(np.clip(samples, -1, 1), (0, _TAIL_SAMPLES)).astype("<f4").tobytes()
    quiet = [program, "-hide_banner", "-nostdin", "-loglevel", "error"]
    raw = ["-f", "f32le", "-ar", str(SAMPLE_RATE_HZ)]
    bit_rate = [] if kind.bit_rate is None else ["-b:a", kind.bit_rate]
    stored = ["-ar", str(kind.rate_hz), "-ac", "1", "-c:a", kind.encoder, *bit_rate]
    encoding = [*quiet, *raw, "-ac", "1", "-i", "pipe:0", *stored, "-f", kind.container, "pipe:1"]
    decoding = [*quiet, "-f", kind.container, "-i", "pipe:0", *raw, "-ac", "1", "pipe:1"]
    stream = _run(encoding, sound, f"encoding as {codec}")
    decoded = _run(decoding, stream, f"decoding {codec}")
    return np.frombuffer(decoded, dtype="<f4").astype(np.float32)


def _run(command: list[str], data: bytes, doing: str) -> bytes:
    """Run ffmpeg on bytes and return its bytes; it is killed where it does not come to an end."""
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=CODING_TIMEOUT_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        raise MediaError(
            f"{doing} must take ffmpeg less than {CODING_TIMEOUT_SECONDS:g} s; it did not"
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            f"ffmpeg must be a program that can be run; {command[0]}: {error.strerror}"
        ) from error
    if done.returncode != 0 or not done.stdout:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise MediaError(f"{doing} failed: ffmpeg ended with {done.returncode}: {last[0]}")
    return done.stdout

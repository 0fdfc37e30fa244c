"""Draw and sing ``demo.mp4``: a cartoon baby in a cot that cries at the times in ``BOUTS``.

Run ``python examples/make_demo.py [OUT]``. Nothing in it was recorded, so anybody may pass the clip
on, and nothing of it may be used for training: it is there to see whether a detector finds what the
script says. The drawing and the sound depend on ``SEED`` alone; the coded bytes also on the version
of ffmpeg.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import cv2
import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.inputs.media import find_ffmpeg

SEED = 20
DURATION_S = 15.0
BOUTS = ((1.6, 4.4), (6.4, 9.6), (11.3, 13.8))
"""The script: onset and offset in seconds of every bout, from the first cry of it to the last."""

MURMURS = ((4.95, 5.85), (10.05, 10.85))
"""Somebody mumbling in the room; not crying."""

SIZE = (480, 360)
CRY_DBFS = -17.0
MURMUR_DBFS = -34.0
TICK_PEAK = 0.02
ROOM_DBFS = -56.0

_SKIN, _BLUSH = (178, 206, 245), (150, 165, 240)
_LINE, _MOUTH, _TONGUE, _TEAR = (60, 60, 95), (50, 40, 120), (120, 120, 225), (245, 210, 150)
_WOOD, _DARK_WOOD, _PILLOW, _BLANKET = (
    (110, 160, 205),
    (80, 125, 170),
    (240, 244, 246),
    (190, 170, 120),
)
_WALL, _FLOOR, _NIGHT, _MOON = (205, 225, 235), (150, 180, 200), (110, 75, 50), (190, 235, 250)
_DOT = (215, 200, 165)


def _smooth(values: np.ndarray, seconds: float) -> np.ndarray:
    """Average over a bell-shaped window, the ends held."""
    width = 2 * int(seconds * SAMPLE_RATE_HZ / 2) + 1
    bell = np.hanning(width + 2)[1:-1]
    held = np.pad(values, width // 2, mode="edge")
    return np.convolve(held, bell / bell.sum(), mode="valid")


def _wander(rng: np.random.Generator, n: int, rate_hz: float) -> np.ndarray:
    """Draw a random line within about plus and minus 1 that turns ``rate_hz`` times a second."""
    knots = rng.normal(0, 0.5, 3 + int(n * rate_hz / SAMPLE_RATE_HZ))
    return np.interp(np.arange(n) * rate_hz / SAMPLE_RATE_HZ, np.arange(len(knots)), knots)


def _along(n: int, knots: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Lay a line through (place from 0 to 1, value) over n samples, its corners rounded."""
    places, values = np.array(knots).T
    return _smooth(np.interp(np.linspace(0, 1, n), places, values), 0.05)


def _resonance(frequency_hz: np.ndarray, centre_hz: np.ndarray, width_hz: float) -> np.ndarray:
    """Gain of one formant at running frequencies and running places."""
    square = centre_hz**2
    return square / np.hypot(square - frequency_hz**2, width_hz * frequency_hz)


def _voice(
    rng: np.random.Generator,
    f0_hz: np.ndarray,
    formants: tuple[tuple[np.ndarray, float], ...],
    tilt: float,
    rough: np.ndarray,
) -> np.ndarray:
    """Sing a pitch line through formants (place in Hz along the line, width in Hz).

    The source's harmonics fall as ``k ** -tilt``; ``rough`` along the line is the strength of the
    half harmonics that a strained voice adds.
    """
    phase = 2 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    sound = np.zeros(len(f0_hz))
    for k in np.arange(0.5, 7000 / f0_hz.max(), 0.5):
        half = k % 1 > 0
        gain = np.maximum(k, 1.0) ** -tilt * (rough if half else 1 - 0.4 * rough)
        for centre_hz, width_hz in formants:
            gain = gain * _resonance(k * f0_hz, centre_hz, width_hz)
        sound += gain * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return sound


def _breath(rng: np.random.Generator, n: int, centres_hz: tuple[float, ...]) -> np.ndarray:
    """Noise of breath through formants at fixed places, root mean square 1."""
    frequency_hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    gain = np.minimum(1, frequency_hz / 500) / (1 + (frequency_hz / 4500) ** 2)
    for centre_hz in centres_hz:
        gain = gain * _resonance(frequency_hz, np.full(len(gain), centre_hz), 0.35 * centre_hz)
    sound = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n)
    return sound / np.sqrt(np.mean(sound**2))


def cry(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """One expiratory cry: a pitch that rises and falls within 350 to 550 Hz, an opening mouth."""
    n = round(seconds * SAMPLE_RATE_HZ)
    top = rng.uniform(430, 520)
    peak = rng.uniform(0.15, 0.5)
    last = rng.uniform(0.68, 0.8)
    line = ((0, rng.uniform(0.76, 0.9)), (0.6 * peak, 0.96), (peak, 1), (0.75, 0.92), (1, last))
    f0_hz = top * _smooth(_along(n, line), 0.12)
    f0_hz *= 1 + 0.012 * _smooth(_wander(rng, n, 9), 0.05) + 0.006 * _wander(rng, n, 120)
    first_hz = 1100 * _along(n, ((0, 0.75), (0.2, 1.0), (0.7, 1.02), (1, 0.8)))
    first_hz *= rng.uniform(0.92, 1.05)
    third_hz = np.full(n, rng.uniform(2850, 3200))
    strain = np.zeros(n)
    if rng.random() < 0.4:
        strained = rng.uniform(0.3, 0.6)
        strain = 0.5 * _along(n, ((0, 0), (strained, 0), (strained + 0.06, 1), (0.9, 0.6), (1, 0)))
    formants = ((first_hz, 300.0), (third_hz, 650.0), (np.full(n, 5200.0), 1100.0))
    sound = _voice(rng, f0_hz, formants, 0.5, strain)
    sound /= np.sqrt(np.mean(sound**2))
    sound += _breath(rng, n, (1150, 3000)) * (0.09 + 0.25 * strain)
    loudness = _along(n, ((0, 0), (0.07, 0.75), (0.3, 1.0), (0.7, 0.8), (0.92, 0.35), (1, 0)))
    return sound * loudness * (1 + 0.16 * _wander(rng, n, 14) + 0.1 * _wander(rng, n, 60))


def bout(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Cries of 0.6 to 1.4 s one after another, a gasp for breath before every next one."""
    count = max(2, round(seconds / 1.1))
    breaths_s = rng.uniform(0.15, 0.25, count - 1)
    pauses_s = rng.uniform(0.02, 0.05, count - 1)
    lengths_s = rng.uniform(0.8, 1.2, count)
    lengths_s *= (seconds - breaths_s.sum() - pauses_s.sum()) / lengths_s.sum()
    parts = [cry(rng, lengths_s[0])]
    for length_s, breath_s, pause_s in zip(lengths_s[1:], breaths_s, pauses_s, strict=True):
        n = round(breath_s * SAMPLE_RATE_HZ)
        gasp = _breath(rng, n, (1500, 3200)) * _along(n, ((0, 0), (0.6, 1), (1, 0)))
        loud = rng.uniform(0.8, 1.1)
        parts += [np.zeros(round(pause_s * SAMPLE_RATE_HZ)), 0.16 * gasp, loud * cry(rng, length_s)]
    return np.concatenate(parts)


def murmur(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A low voice mumbling through a nearly closed mouth, four syllables a second."""
    n = round(seconds * SAMPLE_RATE_HZ)
    rate_hz = 4.0
    f0_hz = 118 * _along(n, ((0, 1.05), (0.5, 1.0), (1, 0.85))) * (1 + 0.05 * _wander(rng, n, 4))
    first_hz = 420 + 110 * _smooth(_wander(rng, n, rate_hz), 0.08)
    second_hz = 1150 + 300 * _smooth(_wander(rng, n, rate_hz), 0.08)
    formants = ((first_hz, 90.0), (second_hz, 120.0), (np.full(n, 2500.0), 200.0))
    sound = _voice(rng, f0_hz, formants, 1.3, np.zeros(n))
    syllables = 0.15 + 0.85 * np.sin(np.pi * rate_hz * np.arange(n) / SAMPLE_RATE_HZ) ** 2
    return sound * syllables * _along(n, ((0, 0), (0.1, 1), (0.85, 1), (1, 0)))


def _at_level(sound: np.ndarray, dbfs: float) -> np.ndarray:
    return sound * (10 ** (dbfs / 20) / np.sqrt(np.mean(sound**2)))


def sing() -> tuple[np.ndarray, np.ndarray]:
    """Make the sound track.

    Returns
    -------
    sound : ndarray
        float64, shape (240000,), 16 kHz, within -1 to 1.
    crying : ndarray
        float64, shape (450,): how loudly the baby cries in each frame, 0 to 1.
    """
    rng = np.random.default_rng(SEED)
    n = round(DURATION_S * SAMPLE_RATE_HZ)
    cries, rest = np.zeros(n), np.zeros(n)
    for onset_s, offset_s in BOUTS:
        sound = _at_level(bout(rng, offset_s - onset_s), CRY_DBFS)
        cries[round(onset_s * SAMPLE_RATE_HZ) :][: len(sound)] += sound
    for onset_s, offset_s in MURMURS:
        sound = _at_level(murmur(rng, offset_s - onset_s), MURMUR_DBFS)
        rest[round(onset_s * SAMPLE_RATE_HZ) :][: len(sound)] += sound
    times_s = np.arange(400) / SAMPLE_RATE_HZ
    for second in range(int(DURATION_S)):
        tick = np.sin(2 * np.pi * (2300 + 500 * (second % 2)) * times_s) * np.exp(-times_s / 0.003)
        rest[second * SAMPLE_RATE_HZ + SAMPLE_RATE_HZ // 2 :][:400] += TICK_PEAK * tick
    frequency_hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ), 30)
    room = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) / np.sqrt(frequency_hz), n)
    echo = rng.standard_normal(3200) * np.exp(-np.arange(3200) / 500.0)
    echo[:80] = 0
    echo *= 0.35 / np.sqrt(np.sum(echo**2))
    echo[0] = 1
    whole = np.convolve(cries + rest, echo)[:n] + _at_level(room, ROOM_DBFS)
    per_frame = SAMPLE_RATE_HZ // FRAME_RATE_HZ + 1
    loud = np.sqrt(np.convolve(cries**2, np.ones(2 * per_frame) / (2 * per_frame), mode="same"))
    frames = np.arange(round(DURATION_S * FRAME_RATE_HZ)) * SAMPLE_RATE_HZ // FRAME_RATE_HZ
    return np.clip(whole, -1, 1), np.clip(loud[frames] / 0.2, 0, 1)


def _blob(
    image: np.ndarray,
    centre: tuple[float, float],
    radii: tuple[float, float],
    colour: tuple[int, int, int],
    outline: bool = True,
) -> None:
    """Draw a filled ellipse, smooth at its edge, mostly with a thin line around it."""
    place = (round(centre[0] * 16), round(centre[1] * 16))
    size = (max(1, round(radii[0] * 16)), max(1, round(radii[1] * 16)))
    polygon = np.array(cv2.ellipse2Poly(place, size, 0, 0, 360, 6), dtype=np.int32)
    cv2.fillPoly(image, [polygon], colour, cv2.LINE_AA, 4)
    if outline:
        cv2.polylines(image, [polygon], True, _LINE, 2, cv2.LINE_AA, 4)


def _arc(
    image: np.ndarray,
    centre: tuple[float, float],
    radii: tuple[int, int],
    degrees: tuple[int, int],
    thickness: int = 3,
) -> None:
    place = (round(centre[0]), round(centre[1]))
    cv2.ellipse(image, place, radii, 0, *degrees, _LINE, thickness, cv2.LINE_AA)


def draw_room() -> np.ndarray:
    """Draw what does not move: wall, window, clock face and the back of the cot."""
    width, height = SIZE
    image = np.full((height, width, 3), _WALL, np.uint8)
    for x in range(20, width, 40):
        for y in range(18, 250, 36):
            _blob(image, (x + (y // 36 % 2) * 20, y), (2, 2), _DOT, outline=False)
    cv2.rectangle(image, (0, 290), (width, height), _FLOOR, -1)
    cv2.rectangle(image, (28, 30), (128, 140), _NIGHT, -1)
    _blob(image, (95, 62), (19, 19), _MOON, outline=False)
    _blob(image, (103, 57), (16, 16), _NIGHT, outline=False)
    for x, y in ((45, 50), (62, 95), (50, 120), (108, 112)):
        _blob(image, (x, y), (1.8, 1.8), _MOON, outline=False)
    for start, end in (((28, 30), (128, 140)), ((28, 30), (78, 140)), ((28, 30), (128, 85))):
        cv2.rectangle(image, start, end, _DARK_WOOD, 4, cv2.LINE_AA)
    _blob(image, (408, 75), (34, 34), _PILLOW)
    for hour in range(12):
        angle = hour * np.pi / 6
        place = (408 + 27 * np.sin(angle), 75 - 27 * np.cos(angle))
        _blob(image, place, (1.6, 1.6), _LINE, outline=False)
    cv2.line(image, (408, 75), (420, 66), _LINE, 3, cv2.LINE_AA)
    cv2.line(image, (408, 75), (408, 55), _LINE, 2, cv2.LINE_AA)
    for x in range(100, 381, 28):
        cv2.line(image, (x, 130), (x, 300), _DARK_WOOD, 5, cv2.LINE_AA)
    cv2.line(image, (86, 128), (394, 128), _DARK_WOOD, 10, cv2.LINE_AA)
    return image


def _in_bout(time_s: float) -> bool:
    return any(onset_s <= time_s < offset_s for onset_s, offset_s in BOUTS)


def _draw_face(image: np.ndarray, at: tuple[float, float], loud: float, time_s: float) -> None:
    """Draw the head: asleep, or with eyes pressed shut, tears and an open mouth."""
    x, y = at
    weeping = _in_bout(time_s)
    for side in (-1, 1):
        _blob(image, (x + side * 59, y + 6), (11, 13), _SKIN)
    _blob(image, (x, y), (60, 56), _SKIN)
    for shift in (-9, 0, 9):
        _arc(image, (x + shift, y - 54), (8, 12), (200, 330), 2)
    for side in (-1, 1):
        _blob(image, (x + side * 36, y + 16), (12, 8), _BLUSH, outline=False)
        eye = (x + side * 24, y - 6)
        if not weeping:
            _arc(image, eye, (11, 6), (15, 165))
            _arc(image, (eye[0], y - 24), (11, 4), (200, 340), 2)
            continue
        _arc(image, (eye[0], y - 2), (12, 9), (200, 340), 4)
        inner, outer = round(eye[0] - side * 11), round(eye[0] + side * 11)
        cv2.line(image, (inner, round(y - 30)), (outer, round(y - 21)), _LINE, 3, cv2.LINE_AA)
        for drop in range(3):
            fallen = (time_s * 1.3 + drop / 3 + 0.15 * side) % 1
            place = (eye[0] + side * (6 + 10 * fallen), y + 4 + 44 * fallen)
            _blob(image, place, (3.2, 4.6), _TEAR, outline=False)
    _arc(image, (x, y + 8), (5, 3), (20, 160), 2)
    if weeping:
        _blob(image, (x, y + 30), (13 + 6 * loud, 4 + 13 * loud), _MOUTH)
        _blob(image, (x, y + 31 + 7 * loud), (8 + 3 * loud, 2 + 5 * loud), _TONGUE, outline=False)
    else:
        _arc(image, (x, y + 24), (9, 5), (20, 160))


def draw(room: np.ndarray, loud: float, time_s: float) -> np.ndarray:
    """Draw one frame.

    Parameters
    ----------
    room : ndarray
        What :func:`draw_room` drew.
    loud : float
        How loudly the baby cries, 0 (asleep) to 1.
    time_s : float
        Time of the frame.

    Returns
    -------
    ndarray
        uint8 BGR, shape (360, 480, 3).
    """
    image = room.copy()
    angle = 2 * np.pi * np.floor(time_s + 0.5) / 60
    tip = (round(408 + 25 * np.sin(angle)), round(75 - 25 * np.cos(angle)))
    cv2.line(image, (408, 75), tip, (60, 60, 200), 1, cv2.LINE_AA)
    breath = np.sin(2 * np.pi * time_s / 3.2)
    shake = loud * np.sin(2 * np.pi * 2.2 * time_s)
    head = (240 + 5 * shake, 186 - 3 * loud + 0.8 * breath)
    _blob(image, (240, 212), (104, 44), _PILLOW)
    _draw_face(image, head, loud, time_s)
    _blob(image, (240, 296 - 1.5 * breath), (112, 52), _BLANKET)
    for side in (-1, 1):
        lift = loud * (8 + 7 * np.sin(2 * np.pi * 2.8 * time_s + side))
        _blob(image, (240 + side * (70 + 6 * loud), 252 - lift), (13, 12), _SKIN)
    if not _in_bout(time_s):
        for z in range(3):
            risen = (time_s / 3.2 + z / 3) % 1
            place = (round(305 + 40 * risen), round(150 - 60 * risen))
            size = 0.4 + 0.4 * risen
            cv2.putText(image, "z", place, cv2.FONT_HERSHEY_SIMPLEX, size, _LINE, 1, cv2.LINE_AA)
    for x in range(100, 381, 28):
        cv2.line(image, (x, 292), (x, 350), _WOOD, 8, cv2.LINE_AA)
    for y in (290, 350):
        cv2.line(image, (84, y), (396, y), _WOOD, 12, cv2.LINE_AA)
    for x in (84, 396):
        cv2.line(image, (x, 118), (x, 356), _WOOD, 14, cv2.LINE_AA)
    return image


def make(out: Path) -> None:
    """Write the clip: H.264 pictures at 30 a second and AAC sound in an MP4 file."""
    sound, crying = sing()
    room = draw_room()
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        with wave.open(str(song), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        size = f"{SIZE[0]}x{SIZE[1]}"
        pictures = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size, "-r", str(FRAME_RATE_HZ)]
        given = [*pictures, "-i", "pipe:0", "-i", str(song), "-map", "0:v", "-map", "1:a"]
        film = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "27", "-preset", "slow"]
        plain = ["-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact"]
        coded = [*film, "-c:a", "aac", "-b:a", "56k", *plain, "-movflags", "+faststart"]
        command = [find_ffmpeg(), "-v", "error", "-y", *given, *coded, str(out)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as coder:
            assert coder.stdin is not None
            for k, loud in enumerate(crying.tolist()):
                coder.stdin.write(draw(room, loud, k / FRAME_RATE_HZ).tobytes())
        if coder.returncode:
            raise SystemExit(f"ffmpeg could not write {out}")


def main() -> None:
    """Make the clip beside this script, or where the argument says."""
    here = Path(__file__).resolve().parent / "demo.mp4"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    make(out)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

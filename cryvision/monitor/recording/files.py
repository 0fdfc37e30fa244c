"""One recording on its way into files: sound, video, picture, and what is known of them."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryvision import __version__
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import CryvisionError
from cryvision.inputs import ffmpeg
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.pictures.yunet import load_cv2
from cryvision.monitor.recording.folder import FORMAT, FORMAT_VERSION, RECORD_NAME, RecordingFolder
from cryvision.monitor.records import event_record, utc
from cryvision.monitor.session import TimedEvent

PICTURE_RATE_HZ = 4
"""Pictures a second of a video."""

WIDEST_PX = 640
"""Larger pictures are made smaller."""

JPEG_QUALITY = 80

STALE_SECONDS = 2.0
"""Where no new picture has come for so long, the video is black."""

ENCODE_SECONDS = 300.0
"""Longer means that ffmpeg, or the disk, is stuck."""

Span = tuple[int, int]
"""First sample and the one after the last."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """A stretch of a source's sound and pictures.

    `start` is the wall time of the first sample, seconds since 1970; `samples` are int16, 16 kHz;
    `pictures` are JPEG files and their places in samples, in order. Of the `events`, those that
    have not ended go on in the next recording; it `continues` the one before where its sound
    follows that. What of the samples is `masked` was set to zero because somebody speaks there.
    """

    source: str
    start: float
    samples: np.ndarray
    pictures: list[tuple[int, bytes]]
    events: tuple[TimedEvent, ...]
    continues: bool
    masked: list[Span] | None


class RecordingWriter:
    """Writes recordings into a folder, one at a time, with the name and hash of the bundle."""

    def __init__(self, folder: RecordingFolder, bundle: dict[str, str]) -> None:
        self._folder, self._bundle = folder, bundle
        self._ffmpeg = ffmpeg.find_ffmpeg()
        self._over = threading.Event()
        self._process: ffmpeg.Process | None = None

    def write(self, recording: Recording) -> None:
        """Write the sound as FLAC, pictures as MP4 and JPEG, and JSON.

        Where the video cannot be made, the sound is kept, and the log says why; where the sound
        cannot be written, nothing is left of the recording.
        """
        with self._folder.staged(recording.start) as (place, stem):
            raw = place / "sound.pcm"
            raw.write_bytes(recording.samples.astype("<i2").tobytes())
            files = {"sound": f"{stem}.flac"}
            sound = ["-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1"]
            sound += ["-i", ffmpeg.file_url(raw)]
            self._encode([*sound, "-c:a", "flac"], place / files["sound"])
            if recording.pictures:
                files["picture"] = f"{stem}.jpg"
                (place / files["picture"]).write_bytes(_first_picture(recording))
                if self._video(recording, sound, place / f"{stem}.mp4"):
                    files["video"] = f"{stem}.mp4"
            raw.unlink()
            text = json.dumps(self._record(recording, files), indent=1, allow_nan=False)
            (place / RECORD_NAME).write_text(text + "\n", encoding="utf-8")

    def stop(self) -> None:
        """End what is being encoded, from any thread; a video without which the sound is kept."""
        self._over.set()
        if self._process is not None:
            self._process.kill()

    def _video(self, recording: Recording, sound: list[str], path: Path) -> bool:
        """Make a video of constant rate; say whether it could be made."""
        frames = path.with_name("pictures.mjpeg")
        try:
            with frames.open("wb") as file:
                for picture in _at_a_constant_rate(recording.pictures, len(recording.samples)):
                    file.write(picture)
            pictures = ["-f", "mjpeg", "-framerate", str(PICTURE_RATE_HZ)]
            pictures += ["-i", ffmpeg.file_url(frames)]
            coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-threads", "1"]
            coding += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"]
            coding += ["-movflags", "+faststart"]
            self._encode([*pictures, *sound, *coding], path)
        except (OSError, CryvisionError) as error:
            path.unlink(missing_ok=True)
            log.warning("%s: the sound is kept without a video: %s", recording.source, error)
            return False
        finally:
            frames.unlink(missing_ok=True)
        return True

    def _encode(self, arguments: list[str], path: Path) -> None:
        """Let ffmpeg write a file; an error has its last words."""
        quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
        command = [self._ffmpeg, *quiet, *arguments, "-map_metadata", "-1", ffmpeg.file_url(path)]
        with ffmpeg.Process(command) as process:
            self._process = process
            if self._over.is_set():
                process.kill()
            try:
                status: int | None = process.wait(ENCODE_SECONDS)
            except subprocess.TimeoutExpired:
                status = None
            self._process = None
            if status == 0 and path.exists():
                return
            words = ffmpeg.last_words(process.log(), path)
        if self._over.is_set():
            words = "it was stopped"
        elif status is None:
            words = f"it did not end within {ENCODE_SECONDS:g} s"
        raise CryvisionError(f"{ffmpeg.shown(path.name)}: ffmpeg: {words or f'status {status}'}")

    def _record(self, recording: Recording, files: dict[str, str]) -> dict[str, Any]:
        seconds = len(recording.samples) / SAMPLE_RATE_HZ
        masked = recording.masked
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "cryvision": __version__,
            "bundle": self._bundle,
            "source": recording.source,
            "start": utc(recording.start),
            "end": utc(recording.start + seconds),
            "continues": recording.continues,
            "files": files,
            "masked_s": None
            if masked is None
            else [[round(sample / SAMPLE_RATE_HZ, 5) for sample in span] for span in masked],
            "level_dbfs": _levels(recording.samples),
            "events": [event_record(recording.source, timed) for timed in recording.events],
        }


def jpeg(frame: np.ndarray) -> bytes:
    """Compress a picture, uint8, shape (height, width, 3), RGB; large ones are made smaller."""
    cv2 = load_cv2()
    height, width = frame.shape[:2]
    scale = min(1.0, WIDEST_PX / max(height, width))
    # H.264 wants even sizes.
    size = tuple(max(2, round(side * scale) // 2 * 2) for side in (width, height))
    if size != (width, height):
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(data.tobytes())


def _black_like(picture: bytes) -> bytes:
    cv2 = load_cv2()
    return jpeg(np.zeros_like(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)))


def _at_a_constant_rate(pictures: Sequence[tuple[int, bytes]], n_samples: int) -> list[bytes]:
    """Give the newest picture at each tick of a video; the first one also before its time."""
    places = np.array([place for place, _ in pictures])
    ticks = np.arange(0, n_samples, SAMPLE_RATE_HZ // PICTURE_RATE_HZ)
    newest = np.maximum(np.searchsorted(places, ticks, side="right") - 1, 0)
    stale = ticks - places[newest] > STALE_SECONDS * SAMPLE_RATE_HZ
    black = _black_like(pictures[0][1]) if stale.any() else b""
    return [black if old else pictures[i][1] for i, old in zip(newest, stale, strict=True)]


def _first_picture(recording: Recording) -> bytes:
    """Choose the picture of the onset, or the one that is nearest to it."""
    onset_s = min((timed.onset_time for timed in recording.events), default=recording.start)
    onset = (onset_s - recording.start) * SAMPLE_RATE_HZ
    return min(recording.pictures, key=lambda picture: abs(picture[0] - onset))[1]


def _levels(samples: np.ndarray) -> list[float | None]:
    """Measure the level of each second, in dB relative to full scale; None in digital silence."""
    levels = []
    for first in range(0, len(samples), SAMPLE_RATE_HZ):
        second = samples[first : first + SAMPLE_RATE_HZ] / np.float32(32768)
        mean_square = np.mean(np.square(second, dtype=np.float64))
        levels.append(round(float(mean_square_dbfs(mean_square)), 1) if mean_square else None)
    return levels

"""Keeps the sound, and the pictures, of each bout of crying in files."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import Empty, Full, Queue
from typing import NamedTuple

import numpy as np

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, CryvisionError
from cryvision.layers import require
from cryvision.monitor.config import RecordingSettings
from cryvision.monitor.recording.files import (
    PICTURE_RATE_HZ,
    Recording,
    RecordingWriter,
    Span,
    jpeg,
)
from cryvision.monitor.recording.folder import RecordingFolder
from cryvision.monitor.recording.observed import ObservedMinutes
from cryvision.monitor.session import Observation, TimedEvent
from cryvision.result import Event

BEFORE_SECONDS = 10.0
"""So much sound is kept before the onset."""

AFTER_SECONDS = 5.0
"""So much sound is kept after an event; the next event within it belongs to the same file."""

LONGEST_SECONDS = 300.0
"""Crying that lasts longer goes on in the next file."""

MOST_PICTURE_BYTES = 64_000_000
"""Pictures of a recording, which wait in memory; with more of them the next file begins."""

LATE_SECONDS = 15.0
"""An event is reported at most so long after its onset; mostly it is a second or two."""

MOST_WAITING = 1800
"""Observations that wait while a file is written: three minutes, some 12 MB of sound."""

TICK_SECONDS = 0.2
CLOSE_SECONDS = 8.0
"""How long `Recorder.close` waits for the last file before it ends ffmpeg."""

PRUNE_SECONDS = 3600.0

ADULT_SPEECH = "adult_speech"

log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """An observation without its frame, and the picture that was made of it."""

    observation: Observation
    picture: bytes | None
    after_loss: bool


@dataclass
class _Bout:
    """What will become a recording; places in samples of the ring."""

    start: int
    last_cry: int
    continues: bool = False
    events: dict[float, Event] = field(default_factory=dict)


class Recorder:
    """Records what is observed of one source, from some seconds before the onset of crying.

    Each bout becomes ``FOLDER/SOURCE/2026-11-29/07-03-12.flac`` (local time of its first sample),
    where there are pictures also ``.mp4`` and ``.jpg``, and ``.json`` beside them. Files are there
    whole or not at all, for the owner alone. ``observed.jsonl`` says for each minute how much of it
    was observed and how much was crying. All is written in a thread of its own; a disk that is full
    costs recordings, with a line in the log for each, and nothing else. `RecordingFolder` says what
    the limits of the settings are about.

    Memory: the newest 25 s, and of a bout all until it is written: at most 5 minutes of sound (10
    MB) and 64 MB of pictures.

    With ``mask_speech`` the sound is zero where the tagger hears an adult speak and there is no
    crying. Where both overlap the crying stays, and the speech with it; what the tagger does not
    hear as speech stays too. A recording then comes some seconds later.
    """

    def __init__(self, settings: RecordingSettings, source: str, bundle: Bundle) -> None:
        require("live", "recording")
        self._source = source
        self._before = round(BEFORE_SECONDS * SAMPLE_RATE_HZ)
        self._mask_speech = settings.mask_speech
        self._unsettled = _tagger_samples(bundle) if settings.mask_speech else 0
        folder, max_bytes = settings.folder, round(settings.max_gb * 1e9)
        try:
            self._folder = RecordingFolder(folder, source, max_bytes, settings.max_days)
        except BlockingIOError as error:
            raise CryvisionError(f"{error.strerror}: {folder}, source {source!r}") from error
        except OSError as error:
            reason = error.strerror or error
            raise CryvisionError(f"{folder}: recordings cannot be kept here: {reason}") from error
        facts = {"name": bundle.name, "sha256": bundle.sha256}
        self._writer = RecordingWriter(self._folder, facts)
        self._minutes = ObservedMinutes(self._folder.path, source)
        self._ring = Ring()
        self._zero = 0  # place in the ring at which the stream of the newest piece began
        self._zero_time = 0.0
        self._bout: _Bout | None = None
        self._recorded_until = 0
        self._speech: list[Span] = []
        self._pruned_at = 0.0
        self._failing: set[str] = set()
        self._queue: Queue[_Item | None] = Queue(MOST_WAITING)
        self._lost = False
        self._picture_in = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recorder {source}", daemon=True)
        self._thread.start()

    def observe(self, observation: Observation) -> None:
        """Take the next observation of the source; never waits for the disk."""
        piece, picture = observation.piece, None
        if piece is not None:
            self._picture_in -= len(piece.samples)
            if piece.frame is not None and self._picture_in <= 0:
                picture = jpeg(piece.frame)
                self._picture_in = SAMPLE_RATE_HZ // PICTURE_RATE_HZ
            observation = replace(observation, piece=replace(piece, frame=None))
        try:
            self._queue.put_nowait(_Item(observation, picture, self._lost))
            self._lost = False
        except Full:
            if not self._lost:
                log.warning("%s: the disk is too slow: sound is not recorded", self._source)
            self._lost = True

    def close(self) -> None:
        """Write what is open, and end within some seconds; may be called again."""
        self._over.set()
        with contextlib.suppress(Full):  # then the thread is awake
            self._queue.put_nowait(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._writer.stop()
            self._thread.join(CLOSE_SECONDS)
        self._folder.close()

    def _run(self) -> None:
        self._attempt("what an earlier run left", self._folder.recover)
        while True:
            try:
                item = self._queue.get(timeout=TICK_SECONDS)
            except Empty:
                item = None
            if item is not None:
                self._take(item)
            elif self._over.is_set():
                break
        self._end_bout()
        self._attempt("observed minutes", self._minutes.close)

    def _take(self, item: _Item) -> None:
        observation = item.observation
        if item.after_loss:
            self._break()
        piece = observation.piece
        if piece is not None:
            self._ring.push(piece.samples, item.picture)
            self._note_speech(observation)
        self._zero = self._ring.end - round(observation.state.time_s * SAMPLE_RATE_HZ)
        self._zero_time = observation.start
        self._follow(observation)
        self._attempt("observed minutes", lambda: self._minutes.observe(observation))
        if observation.fault is not None and observation.fault.breaks:
            self._break()
        if abs(observation.time - self._pruned_at) > PRUNE_SECONDS:
            self._pruned_at = observation.time
            self._attempt("old recordings", self._folder.prune)

    def _follow(self, observation: Observation) -> None:
        for timed in observation.events:
            onset, offset = self._places(timed.event)
            if self._bout is None:
                start = max(onset - self._before, self._ring.start, self._recorded_until)
                self._bout = _Bout(start, onset)
            self._bout.events[timed.event.onset_s] = timed.event
            self._bout.last_cry = max(self._bout.last_cry, onset if offset is None else offset)
        bout, now = self._bout, self._ring.end
        if bout is not None:
            if observation.crying:
                bout.last_cry = now
            # The tagger may still find speech in what it has not heard to the end.
            if now - self._unsettled - bout.last_cry >= AFTER_SECONDS * SAMPLE_RATE_HZ:
                self._end_bout()
            elif (
                now - bout.start >= LONGEST_SECONDS * SAMPLE_RATE_HZ
                or self._ring.picture_bytes >= MOST_PICTURE_BYTES
            ):
                self._end_bout()
                still = {k: e for k, e in bout.events.items() if e.offset_s is None}
                start = self._recorded_until
                self._bout = _Bout(start, bout.last_cry, continues=True, events=still)
        oldest = now - self._before - round(LATE_SECONDS * SAMPLE_RATE_HZ)
        self._ring.forget(oldest if self._bout is None else min(oldest, self._bout.start))
        self._speech = [span for span in self._speech if span[1] > self._ring.start]

    def _end_bout(self) -> None:
        bout, self._bout = self._bout, None
        if bout is None:
            return
        after = bout.last_cry + round(AFTER_SECONDS * SAMPLE_RATE_HZ)
        end = min(self._ring.end, after)
        if end <= bout.start:
            return
        samples, pictures = self._ring.cut(bout.start, end)
        masked = self._masked(bout, end) if self._mask_speech else None
        for first, last in masked or ():
            samples[first:last] = 0
        start_time = self._zero_time + (bout.start - self._zero) / SAMPLE_RATE_HZ
        self._recorded_until = end
        # In the recording events lie where they are heard, however late the first pieces came.
        events = tuple(
            TimedEvent.of(event, self._zero_time) for _, event in sorted(bout.events.items())
        )
        recording = Recording(
            self._source, start_time, samples, pictures, events, bout.continues, masked
        )
        self._failing.discard("recording")  # each that fails has its line
        self._attempt("recording", lambda: self._writer.write(recording))

    def _break(self) -> None:
        """End what was, to which what comes next does not belong."""
        self._end_bout()
        self._recorded_until = self._ring.end
        self._ring.forget(self._ring.end)
        self._speech.clear()

    def _note_speech(self, observation: Observation) -> None:
        """Remember the sound of the tagger's newest window where an adult speaks in it."""
        if not self._mask_speech or ADULT_SPEECH not in observation.state.tags:
            return
        end = self._ring.end
        start = end - self._unsettled
        if self._speech and self._speech[-1][1] >= start:
            start = self._speech.pop()[0]
        self._speech.append((start, end))

    def _masked(self, bout: _Bout, end: int) -> list[Span]:
        """Find where there is no crying and there is, or may be, speech.

        In samples from the start of the recording.
        """
        speaks = np.zeros(end - bout.start, bool)
        speaks[max(0, self._ring.end - self._unsettled - bout.start) :] = True
        for first, last in self._speech:
            speaks[max(0, first - bout.start) : max(0, last - bout.start)] = True
        for event in bout.events.values():
            onset, offset = self._places(event)
            last = end if offset is None else offset
            speaks[max(0, onset - bout.start) : max(0, last - bout.start)] = False
        edges = np.flatnonzero(np.diff(speaks.astype(np.int8), prepend=0, append=0))
        return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]

    def _places(self, event: Event) -> tuple[int, int | None]:
        """Return where in the ring an event begins and ends."""
        onset = self._zero + round(event.onset_s * SAMPLE_RATE_HZ)
        if event.offset_s is None:
            return onset, None
        return onset, self._zero + round(event.offset_s * SAMPLE_RATE_HZ)

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        """Call a function that writes; what it cannot write costs one line in the log."""
        try:
            action()
            self._failing.discard(what)
        except (OSError, CryvisionError) as error:
            if what not in self._failing:
                log.warning("%s: not written: %s: %s", self._source, what, error)
            self._failing.add(what)


def _tagger_samples(bundle: Bundle) -> int:
    """Find how much sound a window of the tagger and the hop after it are about."""
    tagger = bundle.tagger
    if tagger is None or tagger.logmel is None or ADULT_SPEECH not in tagger.tags:
        raise ConfigError(
            f"masking speech needs a bundle whose tagger tells {ADULT_SPEECH} apart; "
            f"{bundle.name!r} does not"
        )
    frames = tagger.logmel.window_frames + tagger.logmel.hop_frames
    return int(frames * tagger.logmel.frame_samples)


class Ring:
    """Takes pieces of sound and pictures, and gives stretches of them.

    Sound is kept in 16 bits and pictures as JPEG files, of ``picture_bytes`` in all. ``start`` and
    ``end`` are the places of the first sample that is kept, and after the last, since the ring was
    made. Who uses it forgets what is old.
    """

    def __init__(self) -> None:
        self.start = self.end = 0
        self.picture_bytes = 0
        self._sound: deque[np.ndarray] = deque()
        self._pictures: deque[tuple[int, bytes]] = deque()

    def push(self, samples: np.ndarray, picture: bytes | None) -> None:
        """Take the next sound, float32, -1 to 1, and a picture at its end."""
        if len(samples):
            finite = np.nan_to_num(samples * 32768.0, nan=0.0)
            self._sound.append(np.clip(np.rint(finite), -32768, 32767).astype(np.int16))
            self.end += len(samples)
        if picture is not None:
            self._pictures.append((self.end, picture))
            self.picture_bytes += len(picture)

    def forget(self, before: int) -> None:
        """Forget sound and pictures before a place, a piece as a whole."""
        while self._sound and self.start + len(self._sound[0]) <= before:
            self.start += len(self._sound.popleft())
        while self._pictures and self._pictures[0][0] < before:
            self.picture_bytes -= len(self._pictures.popleft()[1])

    def cut(self, start: int, end: int) -> tuple[np.ndarray, list[tuple[int, bytes]]]:
        """Give the sound between two places, int16, and the pictures by their places from the
        start."""
        sound = np.concatenate([*self._sound, np.zeros(0, np.int16)])
        pictures = [(at - start, one) for at, one in self._pictures if start <= at <= end]
        return sound[start - self.start : end - self.start], pictures

"""One clip becomes one row; a worker makes the scorer once for all its clips."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryvision.acoustics import measure_clip
from cryvision.batch import remote
from cryvision.batch.job import Job
from cryvision.batch.rows import error_row, failed_row, scored_row
from cryvision.batch.sources import ListedClip
from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import BundleError, CryvisionError, MediaError
from cryvision.inference.checkpoint import Checkpoint
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.clip import feed, with_start
from cryvision.inputs import media
from cryvision.inputs.frame_rows import RowFiles
from cryvision.inputs.pitch import PitchStream, PitchTrack
from cryvision.inputs.quality import QualityStream
from cryvision.outputs import files
from cryvision.result import Classification
from cryvision.start_times import RecordingStart, recording_start

SAVE_SECONDS = 60.0
"""The most work on one recording that is lost when a run is killed."""

TRIM_SECONDS = 60.0
"""Of sound, after which free memory is returned."""

_KINDS = (StreamClassifier, PitchStream, QualityStream)


class ClipScorer:
    """Scores clips with one bundle, whose models are loaded once.

    Raises
    ------
    BundleError
        If the bundle is not there, is refused, or is not the one of the job.
    MissingDependencyError
        If faces are required and cannot be looked at on this machine.
    """

    def __init__(self, job: Job) -> None:
        bundle = Bundle.load(job.bundle)
        if bundle.sha256 != job.bundle_sha256:
            raise BundleError(
                f"{bundle.folder}: every machine must hold the bundle of the run, sha256 "
                f"{job.bundle_sha256[:12]}...; got {bundle.sha256[:12]}..."
            )
        self._job = job
        self._bundle = bundle.keeping_models()
        # Loads the models, and refuses settings that no clip can be scored with.
        stream = self._new_stream("")
        # What is known of faces cannot be saved.
        self._saves = bool(job.unfinished_dir) and not stream.takes_frames
        self._started_s = 0.0

    def __call__(self, clip: ListedClip) -> dict[str, Any]:
        """Score one clip, or what is left of it.

        Returns
        -------
        dict
            Its row: also of one that cannot be read, or that breaks a library.

        Raises
        ------
        CryvisionError
            For what would befall the other clips as well: no ffmpeg, no room for the files.
        """
        self._started_s = time.monotonic()
        local = clip.path
        try:
            with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
                if remote.is_url(clip.path):
                    local = str(remote.fetch(clip.path, Path(folder)))
                result, pitch = self._classify(clip, local)
                result = with_start(result, self._start(clip, local))
                self._write_files(clip, result, local)
                return scored_row(clip, self._job, result, pitch, self._spent_s)
        except MediaError as error:
            # The name of a copy means nothing to a user.
            reason = str(error).replace(local, clip.path)
            return failed_row(clip, self._job, type(error).__name__, reason, self._spent_s)
        except CryvisionError:
            raise
        except Exception as error:  # one clip must never end a run of a million
            return error_row(clip, self._job, error, self._spent_s)

    @property
    def _spent_s(self) -> float:
        """Seconds spent on the clip so far, those of runs that were killed included."""
        return time.monotonic() - self._started_s

    def _classify(self, clip: ListedClip, local: str) -> tuple[Classification, PitchTrack]:
        """Classify as `cryvision.classify` does, and track the pitch of the same pieces."""
        saved = None
        if self._saves:
            options = self._job.options
            bundle = options.applied(self._bundle)
            folder = Path(self._job.unfinished_dir, clip.key)
            saved = Checkpoint(folder, bundle, options.runtime)
            if (state := saved.load(_KINDS)) is not None:
                first, spent_s, streams = state
                self._started_s -= spent_s
                try:
                    return self._go_on(local, saved, first, streams)
                except CryvisionError:
                    raise
                except Exception as error:  # a state that was spoilt raises any kind
                    saved.discard(error)
        files = RowFiles() if saved is None else saved.files
        streams = [self._new_stream(clip.path, files), PitchStream(files), QualityStream()]
        return self._go_on(local, saved, 0, streams)

    def _go_on(
        self, local: str, saved: Checkpoint | None, first: int, streams: Sequence[Any]
    ) -> tuple[Classification, PitchTrack]:
        """Classify what comes after the first samples."""
        stream, pitch, quality = streams
        saved_s, trimmed_s = time.monotonic(), 0.0
        start_s = first / SAMPLE_RATE_HZ
        with media.open_clip(local, frames=stream.takes_frames, start_s=start_s) as opened:
            for done_s in feed(opened, stream, pitch, quality):
                if saved is not None and time.monotonic() - saved_s >= SAVE_SECONDS:
                    n_done = first + round(done_s * SAMPLE_RATE_HZ)
                    saved.save(n_done, self._spent_s, streams)
                    saved_s = time.monotonic()
                if done_s - trimmed_s >= TRIM_SECONDS:
                    return_free_memory()
                    trimmed_s = done_s
            result = stream.finish(opened.info, tuple(opened.warnings))
        result = dataclasses.replace(result, quality=quality.finish())
        if self._job.acoustics:
            result = measure_clip(result, local)
        return result, pitch.track()

    def _start(self, clip: ListedClip, local: str) -> RecordingStart | None:
        zone = self._job.timezone
        return recording_start(local, stated=clip.start, zone=zone, name=clip.path)

    def _new_stream(self, path: str, files: RowFiles | None = None) -> StreamClassifier:
        options = dataclasses.asdict(self._job.options)
        return StreamClassifier(self._bundle, path=path, row_files=files, **options)

    def _write_files(self, clip: ListedClip, result: Classification, local: str) -> None:
        """Write what is wanted beside the table, in the folders that the clips lie in."""
        if not self._job.formats:
            return
        name = PurePosixPath(clip.name)
        folder = os.path.join(self._job.formats_dir, *name.parent.parts)
        by_path: dict[str, list[str]] = defaultdict(list)
        for form in files.clip_formats(result, self._job.formats):
            by_path[local if form in files.READS_THE_CLIP else clip.path].append(form)
        for path, formats in by_path.items():
            named = dataclasses.replace(result, path=path)
            hop_s = self._job.timeline_hop_s
            files.write(named, folder, formats, name.name, timeline_hop_s=hop_s)


def return_free_memory() -> None:
    """Return memory that was freed to the system, where the C library is glibc.

    It keeps what lies between pieces in use; over a day that comes to a tenth of a worker.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)

"""What the worker process does for the page: scores a clip, makes its video, trains a detector.

A request is a JSON file; its progress goes into a file beside it.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from cryvision.batch.job import Job
from cryvision.batch.sources import ListedClip
from cryvision.bundle import Bundle
from cryvision.errors import CryvisionError, MediaError
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.clip import read_through, with_start
from cryvision.start_times import recording_start
from cryvision.web.pyramid import PYRAMID, PyramidWriter
from cryvision.web.results import load_result, save_result

DONE, FAILED = "ok", "failed"
PROGRESS_SUFFIX = ".progress"

_PROGRESS_SECONDS = 0.2


class PageTasks:
    """Does tasks, one after another, with the bundle of a job, whose models stay loaded."""

    def __init__(self, job: Job) -> None:
        self._bundle_path = job.bundle

    def __call__(self, request: ListedClip) -> dict[str, Any]:
        """Do the task in the file of a request; give ``status``, and ``result`` or ``error``."""
        path = Path(request.path)
        wanted = json.loads(path.read_text("utf-8"))
        progress = _Progress(path.with_suffix(PROGRESS_SUFFIX))
        try:
            result = getattr(self, f"_{wanted['kind']}")(wanted, progress)
        except CryvisionError as error:
            return {"status": FAILED, "error": str(error)}
        except Exception as error:  # one clip must never end the server
            words = " ".join(f"{type(error).__name__}: {error}".split())
            return {"status": FAILED, "error": words}
        return {"status": DONE, "result": result}

    @cached_property
    def _bundle(self) -> Bundle:
        return Bundle.load(self._bundle_path).keeping_models()

    def _warm(self, wanted: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        """Load the models before the first clip comes."""
        StreamClassifier(self._bundle)
        return {}

    def _score(self, wanted: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        """Classify a clip as `cryvision.classify` does, and keep its waveform and spectrogram."""
        folder = Path(wanted["out"])
        folder.mkdir(parents=True, exist_ok=True)

        def show(done_s: float, duration_s: float | None) -> None:
            if done_s > 60 * wanted["max_minutes"]:
                raise MediaError(
                    f"a clip must be at most {wanted['max_minutes']:g} minutes long; this one is "
                    "longer"
                )
            progress.show(done_s / (duration_s or max(done_s, 1.0)))

        stream = StreamClassifier(self._bundle, path=wanted["path"])
        pyramid = PyramidWriter(folder / PYRAMID)
        result = read_through(wanted["path"], stream, pyramid, progress=show)
        result = with_start(result, recording_start(wanted["path"], name=wanted["name"]))
        pyramid.finish()
        return save_result(result, folder)

    def _video(self, wanted: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        from cryvision.outputs.video import write_video

        result = dataclasses.replace(load_result(Path(wanted["folder"])), path=wanted["path"])
        write_video(result, Path(wanted["out"]))
        return {}

    def _faces(self, wanted: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        from cryvision.web.faces import find_faces

        find_faces(wanted["path"], Path(wanted["out"]), progress.show)
        return {}

    def _train(self, wanted: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        from cryvision.web.training import train_on_corrections

        handler = _LogLines(progress)
        logger = logging.getLogger("cryvision")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            return train_on_corrections(wanted, self._bundle)
        finally:
            logger.removeHandler(handler)


class _Progress:
    """Writes how far a task is, a few times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0

    def show(self, share: float, message: str = "") -> None:
        now = time.monotonic()
        if message or now - self._written > _PROGRESS_SECONDS:
            self._written = now
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps([round(min(share, 1.0), 4), message]), "utf-8")
            os.replace(part, self._path)


class _LogLines(logging.Handler):
    """Shows what a training logs, one line at a time, less the paths of clips."""

    def __init__(self, progress: _Progress) -> None:
        super().__init__()
        self._progress = progress
        self._n_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._n_lines += 1
        line = record.getMessage().split(": ")[0]
        self._progress.show(1 - 0.95**self._n_lines, line)

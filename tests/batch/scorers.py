"""Stand-ins for the scorer, so that scheduling is tested without media: what a clip does is in its
name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryvision.batch.job import Job
from cryvision.batch.rows import failed_row
from cryvision.batch.sources import ListedClip


class NullScorer:
    """Answers at once, unless the clip's name says otherwise."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, clip: ListedClip) -> dict[str, Any]:
        name = os.path.basename(clip.path)
        if "slow" in name:
            time.sleep(0.05)
        if "hangs" in name:
            time.sleep(600)
        if "long" in name:
            state = Path(self._job.unfinished_dir, clip.key)
            state.mkdir(parents=True)
            (state / "state.pickle").touch()
        if "poison" in name or ("unlucky" in name and self._first(clip)):
            os.kill(os.getpid(), signal.SIGSEGV)
        if "damaged" in name:
            return failed_row(clip, self._job, "MediaError", f"{clip.path}: damaged", 0.0)
        row = failed_row(clip, self._job, "ok", "", 0.0)
        if "torn" in name:
            return {**row, "events": _torn()}
        return {**row, "duration_s": 5.0, "events": []}

    def _first(self, clip: ListedClip) -> bool:
        """Whether this is the first try, by a mark beside the clip."""
        mark = Path(clip.path + ".tried")
        if mark.exists():
            return False
        mark.touch()
        return True


def _torn() -> Iterator[dict[str, float]]:
    """Events that end in an error when they are encoded."""
    yield {"onset_s": 0.0}
    raise OSError("the file of events is gone")


class UnluckyStart(NullScorer):
    """Is killed while the first worker starts."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        mark = Path(job.folder, "first-start")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class NeverStarts(NullScorer):
    """Is killed whenever a worker starts."""

    def __init__(self, job: Job) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class EventScorer(NullScorer):
    """Finds as many events of half a second as the number in the clip's name says."""

    def __call__(self, clip: ListedClip) -> dict[str, Any]:
        row = super().__call__(clip)
        number = os.path.splitext(clip.path)[0].rsplit("-", 1)[1]
        n = int(number) if number.isdigit() else 0
        events = [
            {"onset_s": float(i), "offset_s": i + 0.5, "label": "cry", "confidence": 0.9}
            for i in range(n)
        ]
        return row | {"events": events, "bouts": [{"n_events": n}] if n else []}

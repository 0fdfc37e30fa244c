"""The process that scores clips: requests come in on stdin, rows go out on stdout, as JSON lines.

It ends as soon as stdin does, which is when its parent ends, however that happens: no orphan is
left. A clip that crashes or hangs takes down this process alone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from cryvision.errors import CryvisionError

_BYTES_IN_MEMORY = 1 << 18
"""Of a row that is longer, as that of a day may be, the rest waits in a file."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    answers = _claim_stdout()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    start = json.loads(sys.stdin.buffer.readline())
    # Whatever a library leaves in the way of temporary files goes with this folder.
    tempfile.tempdir = start["scratch"]
    reader = threading.Thread(
        target=_read_requests, args=(requests, start["scratch"]), name="requests", daemon=True
    )
    reader.start()
    with contextlib.suppress(OSError):  # a machine of a cluster may have URLs to read alone
        os.chdir(start["job"]["folder"])
    try:
        scorer = _make_scorer(start["job"], answers)
        _answer(answers, {"ready": os.getpid()})
        # What libraries print from here on would only grow, a line or two for each clip.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        while True:
            for clip in json.loads(requests.get()):
                scorer(clip)
    except CryvisionError as error:
        _answer(answers, {"fatal": type(error).__name__, "message": str(error)})
    except Exception as error:
        reason = f"a worker failed: {type(error).__name__}: {error}"
        _answer(answers, {"fatal": "CryvisionError", "message": reason})
    shutil.rmtree(start["scratch"], ignore_errors=True)
    # Not by returning: Python would wait for the thread that waits for stdin.
    os._exit(1)


def _make_scorer(described: dict[str, Any], answers: BinaryIO) -> Callable[[Sequence[Any]], None]:
    from cryvision.batch.job import Job
    from cryvision.batch.rows import error_row
    from cryvision.batch.sources import ListedClip

    job = Job.from_json(described)
    module, _, name = job.scorer.partition(":")
    scorer = getattr(importlib.import_module(module), name)(job)

    def score(listed: Sequence[Any]) -> None:
        clip, started_s = ListedClip(*listed), time.monotonic()
        try:
            _answer(answers, scorer(clip))
        except CryvisionError:
            raise
        except Exception as error:  # a row that cannot be sent is the fault of its clip alone
            _answer(answers, error_row(clip, job, error, time.monotonic() - started_s))

    return score


def _claim_stdout() -> BinaryIO:
    """Keep stdout for the answers; what libraries print there goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _answer(answers: BinaryIO, record: dict[str, Any]) -> None:
    with tempfile.SpooledTemporaryFile(_BYTES_IN_MEMORY) as line:  # nothing half is sent
        for piece in json_pieces(record):
            line.write(piece.encode())
        line.seek(0)
        shutil.copyfileobj(line, answers)
    answers.flush()


def json_pieces(record: Mapping[str, Any]) -> Iterator[str]:
    """Encode a record as a line of JSON: its iterators, which may be long, item by item."""
    start = "{"
    for name, value in record.items():
        yield f"{start}{json.dumps(name)}: "
        start = ", "
        if not isinstance(value, Iterator):
            yield json.dumps(value, allow_nan=False)
            continue
        yield "["
        for number, item in enumerate(value):
            yield (", " if number else "") + json.dumps(item, allow_nan=False)
        yield "]"
    yield "}\n"


def _read_requests(requests: queue.SimpleQueue[bytes], scratch: str) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The parent has ended. Nothing here may wait for the clip that is being scored.
    shutil.rmtree(scratch, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        with contextlib.suppress(OSError):
            os.killpg(os.getpid(), signal.SIGKILL)  # with ffmpeg, where it runs
    os._exit(1)

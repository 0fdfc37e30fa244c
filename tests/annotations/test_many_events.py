"""Each format takes time by the number of its events, not by that of their pairs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cryvision.annotations import Interval, read_recordings
from cryvision.annotations.formats import FORMATS, write_annotations

N_FEW, TIMES_MORE = 500, 8
LARGEST_RATIO = 30.0
"""Of the times: about 8 where each event takes as long as any other, 64 where all pairs count."""


def seconds(call: Callable[[], object]) -> float:
    """Best of three, of this process alone: other ones make no difference."""

    def once() -> float:
        started = time.process_time()
        call()
        return time.process_time() - started

    return min(once() for _ in range(3))


@pytest.mark.parametrize("form", [name for name, one in FORMATS.items() if one.read and one.write])
def test_time_grows_with_the_events(form: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}{FORMATS[form].suffixes[0]}" for n in (N_FEW, N_FEW * TIMES_MORE)]
    few, more = (seconds(partial(write, form, path)) for path in paths)
    assert more < LARGEST_RATIO * few
    few, more = (seconds(partial(read_recordings, path)) for path in paths)
    assert more < LARGEST_RATIO * few
    (read,) = read_recordings(paths[1]).values()
    assert len(read) == N_FEW * TIMES_MORE


def write(form: str, path: Path) -> None:
    """Write as many events as the file is named for."""
    n = int(path.name.partition(".")[0])
    events = [Interval(2.0 * k, 2.0 * k + 1.0, "cry") for k in range(n)]
    write_annotations(events, path, form, duration_s=2.0 * n)

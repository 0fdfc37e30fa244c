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


N_TRIES = 3
"""The best counts, and of the many events the first that is quick enough."""


def seconds(call: Callable[[], object]) -> float:
    """Of this process alone: other ones make no difference."""
    started = time.process_time()
    call()
    return time.process_time() - started


@pytest.mark.parametrize("form", [name for name, one in FORMATS.items() if one.read and one.write])
def test_time_grows_with_the_events(form: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}{FORMATS[form].suffixes[0]}" for n in (N_FEW, N_FEW * TIMES_MORE)]
    for work in (partial(write, form), read_recordings):
        few = min(seconds(partial(work, paths[0])) for _ in range(N_TRIES))
        more = (seconds(partial(work, paths[1])) for _ in range(N_TRIES))
        assert any(one < LARGEST_RATIO * few for one in more)
    (read,) = read_recordings(paths[1]).values()
    assert len(read) == N_FEW * TIMES_MORE


def write(form: str, path: Path) -> None:
    """Write as many events as the file is named for."""
    n = int(path.name.partition(".")[0])
    events = [Interval(2.0 * k, 2.0 * k + 1.0, "cry") for k in range(n)]
    write_annotations(events, path, form, duration_s=2.0 * n)

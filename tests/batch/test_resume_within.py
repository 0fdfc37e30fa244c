"""A run that is killed inside a long recording goes on there, and its row is the same."""

from __future__ import annotations

import dataclasses
import functools
import hmac
import os
import pickle
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from bundles import BUNDLE_V1
from drivers import as_sent

from cryvision.batch import scoring
from cryvision.batch.job import Job
from cryvision.batch.scoring import ClipScorer
from cryvision.batch.sources import ListedClip
from cryvision.bundle import Bundle
from cryvision.download import CACHE_VARIABLE
from cryvision.inference import checkpoint, classifier
from cryvision.inference.options import Options
from cryvision.inputs import frame_rows
from cryvision.inputs.media import read_sound
from cryvision.inputs.pitch import PitchStream
from cryvision.inputs.quality import QualityStream

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"
SECONDS = 16


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The start of the demo for one bundle, then a warble for the other one."""
    time_s = np.arange(SECONDS * 16_000) / 16_000
    warble = np.sin(2 * np.pi * 450 * time_s + 8 * np.sin(2 * np.pi * 5 * time_s))
    sound = 0.3 * warble * (time_s % 2 > 0.7)
    sound[: len(sound) // 2] = read_sound(DEMO)[: len(sound) // 2]
    path = tmp_path_factory.mktemp("day") / "day.flac"
    soundfile.write(path, sound, 16_000)
    return path


@pytest.fixture(autouse=True)
def saved_at_each_piece(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(scoring, "SAVE_SECONDS", 0.0)
    by_the_second = functools.partial(scoring.media.open_clip, chunk_seconds=1.0)
    monkeypatch.setattr(scoring.media, "open_clip", by_the_second)
    for module in (frame_rows, classifier):
        monkeypatch.setattr(module, "FRAMES_IN_MEMORY", 80)


@functools.cache
def loaded(path: str | None) -> Bundle:
    return Bundle.load(path)


@pytest.fixture(params=["default", "v1"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Job:
    path = None if request.param == "default" else str(BUNDLE_V1)
    bundle = loaded(path)
    return Job(
        path, bundle.name, bundle.sha256, "0", os.getcwd(),
        options=Options(threshold=0.4, min_duration_s=0.2, min_gap_s=0.15),
        formats=("csv",), formats_dir=str(tmp_path / "clips"),
        unfinished_dir=str(tmp_path / "unfinished"),
    )  # fmt: skip


def listed(path: Path) -> ListedClip:
    return ListedClip("00ff", str(path), path.stat().st_size, path.name)


def scored(job: Job, path: Path) -> tuple[dict[str, object], str]:
    """Return the row less its time, and the timeline that was written beside it."""
    row = as_sent(ClipScorer(job)(listed(path)))
    del row["seconds_spent"]
    return row, Path(job.formats_dir, f"{path.name}.csv").read_text()


class Killed(BaseException):
    """Like the end of a process: nothing catches it."""


def count_pieces(monkeypatch: pytest.MonkeyPatch, last: float = np.inf) -> list[int]:
    """Count the pieces that are classified, and end with the last."""
    pieces = [0]
    push = classifier.StreamClassifier.push

    def counted(self: classifier.StreamClassifier, *piece: object) -> object:
        pieces[0] += 1
        if pieces[0] > last:
            raise Killed
        return push(self, *piece)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring.StreamClassifier, "push", counted)
    return pieces


def killed_after(n_pieces: int, job: Job, path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        count_pieces(patch, n_pieces)
        with pytest.raises(Killed):
            scored(job, path)


def scored_at_once(job: Job, path: Path) -> tuple[dict[str, object], str]:
    """Score a clip without saving anything."""
    apart = dataclasses.replace(job, unfinished_dir="", formats_dir=f"{job.formats_dir}.whole")
    row, timeline = scored(apart, path)
    assert row["status"] == "ok"
    return row, timeline


@pytest.fixture(scope="module")
def wholes() -> dict[str | None, tuple[dict[str, object], str]]:
    """What runs that were not killed have found, by bundle."""
    return {}


@pytest.fixture
def whole(
    job: Job, recording: Path, wholes: dict[str | None, tuple[dict[str, object], str]]
) -> tuple[dict[str, object], str]:
    if job.bundle not in wholes:
        row, timeline = scored_at_once(job, recording)
        assert row["n_events"] > 2
        wholes[job.bundle] = row, timeline
    return wholes[job.bundle]


def test_a_row_after_kills_is_that_of_a_run_that_was_not_killed(
    job: Job, recording: Path, whole: tuple[dict, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_left = SECONDS
    for seed in range(3):
        last = int(np.random.default_rng(seed).integers(2, 6))
        killed_after(last, job, recording)
        n_left -= last
    pieces = count_pieces(monkeypatch)
    assert scored(job, recording) == whole
    assert pieces[0] == n_left  # what was classified is not classified again


@pytest.mark.parametrize("job", ["default"], indirect=True)
def test_the_time_of_all_runs_counts(
    job: Job, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    push = classifier.StreamClassifier.push

    def timed(self: classifier.StreamClassifier, *piece: object) -> object:
        clock[0] += 10.0
        return push(self, *piece)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier.StreamClassifier, "push", timed)
    monkeypatch.setattr(scoring, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    killed_after(7, job, recording)
    clock[0] = 5000.0  # another process has another clock
    assert ClipScorer(job)(listed(recording))["seconds_spent"] == 10.0 * SECONDS


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("job", ["default"], indirect=True)
def test_only_their_owner_can_read_state_and_rows(job: Job, recording: Path) -> None:
    before = os.umask(0o022)
    try:
        killed_after(8, job, recording)
    finally:
        os.umask(before)
    folder = Path(job.unfinished_dir, "00ff")
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {".pickle": 0o600, ".rows": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("seconds", [0.3, 1.2])
def test_a_clip_of_a_window_or_two_is_the_same_once_it_was_saved(
    seconds: float, job: Job, recording: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, soundfile.read(recording, frames=int(seconds * 16_000))[0], 16_000)
    assert scored(job, short) == scored_at_once(job, short)


@pytest.mark.parametrize("job", ["default"], indirect=True)
def test_rows_are_on_the_disk_before_the_state_that_counts_on_them(
    job: Job, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, synced = os.fsync, []

    def noted(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    killed_after(3, job, recording)
    folder = Path(job.unfinished_dir, "00ff")
    rows = [(path.stat().st_ino, path.stat().st_size) for path in folder.glob("*.rows")]
    state = synced.index(
        ((folder / "state.pickle").stat().st_ino, os.stat(folder / "state.pickle").st_size)
    )
    assert rows
    assert set(rows) <= set(synced[:state])


@pytest.mark.parametrize("job", ["default"], indirect=True)
def test_a_link_in_the_place_of_rows_leads_nowhere(
    job: Job, recording: Path, whole: tuple[dict, str], tmp_path: Path
) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("mine")
    killed_after(8, job, recording)
    for path in Path(job.unfinished_dir, "00ff").glob("*.rows"):
        path.unlink()
        path.symlink_to(thesis)
    assert scored(job, recording) == whole
    assert thesis.read_text() == "mine"


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)

    def __init__(self, target: Path) -> None:
        self.target = str(target)


@pytest.mark.parametrize("job", ["default"], indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        *("cut", "rows", "no key", "hostile", "hollow"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("empty", "stranger", "other")),
    ],
)
def test_a_state_that_cannot_be_used_is_not(
    fault: str, job: Job, recording: Path, whole: tuple[dict, str], tmp_path: Path
) -> None:
    def sign(content: object) -> None:
        data = pickle.dumps(content)
        state.write_bytes(hmac.digest(checkpoint._key(), data, "sha256") + data)

    killed_after(8, job, recording)
    folder = Path(job.unfinished_dir, "00ff")
    state = folder / "state.pickle"
    data = state.read_bytes()
    if fault == "cut":
        state.write_bytes(data[: len(data) // 2])
    elif fault == "empty":
        state.write_bytes(b"")
    elif fault == "rows":
        for path in folder.glob("*.rows"):
            path.write_bytes(path.read_bytes()[:100])
    elif fault == "stranger":
        state.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif fault == "no key":
        (tmp_path / "cache" / "state.key").unlink()
    elif fault == "hostile":
        sign((5, 1.0, Hostile(tmp_path / "made"), None, None))
    elif fault == "hollow":
        kinds = (scoring.StreamClassifier, PitchStream, QualityStream)
        sign((5, 1.0, *map(object.__new__, kinds)))
    else:
        sign((5, 1.0, 1, 2, 3))
    with pytest.MonkeyPatch.context() as patch:
        pieces = count_pieces(patch)
        assert scored(job, recording) == whole
    assert pieces[0] >= SECONDS  # all of it is classified again
    assert not (tmp_path / "made").exists()

"""A run gives each clip one row, whatever is killed, and goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from drivers import ORPHAN_SECONDS, kill_and_finish, names, read_table
from waiting import until

from cryvision.batch import engines
from cryvision.batch.engines import Work
from cryvision.batch.job import Job
from cryvision.batch.rows import COLUMNS
from cryvision.batch.run import score
from cryvision.batch.sources import ListedClip
from cryvision.batch.store import Store
from cryvision.batch.supervisor import Supervisor
from cryvision.errors import ConfigError, CryvisionError, MediaError, MissingDependencyError
from cryvision.inference.options import Options

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def expected(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.wav"))


def test_each_clip_is_one_row_in_the_order_of_the_names(make_clips, run_null, tmp_path):
    clips = make_clips(*(f"{i:03d}.wav" for i in range(50)), "notes.txt", ".hidden.wav")
    summary = run_null(clips, workers=2)
    assert names(tmp_path / "table.csv") == [f"{i:03d}.wav" for i in range(50)]
    assert (summary.n_clips, summary.n_failed, summary.n_scored) == (50, 0, 50)
    assert summary.media_seconds == 250


def test_a_row_is_parsed_when_it_comes_and_for_the_table(make_clips, run_null, monkeypatch):
    parsed, loads = [], json.loads

    def counted(text):
        value = loads(text)
        if isinstance(value, dict) and "settings_sha256" in value:
            parsed.append(value["path"])
        return value

    monkeypatch.setattr(json, "loads", counted)
    clips = make_clips(*(f"{i:03d}.wav" for i in range(10)))
    run_null(clips)
    assert len(parsed) == 2 * 10
    parsed.clear()
    assert run_null(clips).n_scored == 0
    assert len(parsed) == 10


@pytest.mark.usefixtures("same_process")
def test_a_source_that_is_given_twice_is_scored_once(make_clips, run_null, tmp_path):
    clips = make_clips("a.wav", "b.wav")
    detour = clips / ".." / "clips" / "b.wav"
    assert run_null(clips, clips / "a.wav", detour).n_scored == 2
    assert names(tmp_path / "table.csv") == ["a.wav", "b.wav"]


class TestIsolation:
    def test_what_a_clip_does_to_its_worker_is_a_row(self, make_clips, run_null, tmp_path):
        clips = make_clips(
            *(f"{i:02d}.wav" for i in range(20)),
            *("05-poison.wav", "06-poison.wav", "07-damaged.wav", "08-unlucky.wav"),
        )
        summary = run_null(clips, workers=2)
        rows = {Path(row["path"]).name: row for row in read_table(tmp_path / "table.csv")}
        assert sorted(rows) == expected(clips)
        failed = {name: row["status"] for name, row in rows.items() if row["status"] != "ok"}
        assert failed == {
            "05-poison.wav": "WorkerCrash",
            "06-poison.wav": "WorkerCrash",
            "07-damaged.wav": "MediaError",
        }
        assert "SIGSEGV, 2 times" in rows["05-poison.wav"]["error"]
        assert summary.failures == {"WorkerCrash": 2, "MediaError": 1}

    def test_a_row_that_cannot_be_sent_is_the_fault_of_its_clip(
        self, make_clips, run_null, tmp_path
    ):
        summary = run_null(make_clips("a.wav", "b-torn.wav", "c.wav"))
        rows = read_table(tmp_path / "table.csv")
        assert [row["status"] for row in rows] == ["ok", "OSError", "ok"]
        assert rows[1]["error"].endswith("b-torn.wav: the file of events is gone")
        assert summary.failures == {"OSError": 1}

    def test_a_clip_over_its_time_limit_is_a_row(self, make_clips, run_null, tmp_path):
        clips = make_clips("a.wav", "b-hangs.wav", "c.wav")
        started = time.monotonic()
        run_null(clips, time_limit_s=0.3)
        rows = read_table(tmp_path / "table.csv")
        assert [row["status"] for row in rows] == ["ok", "TimeLimit", "ok"]
        assert float(rows[1]["seconds_spent"]) >= 0.3
        assert time.monotonic() - started < 30

    def test_a_worker_that_somebody_kills_costs_nothing(self, make_clips, run_null, tmp_path):
        clips = make_clips(*(f"{i:02d}-slow.wav" for i in range(12)))
        killed: list[int] = []

        def kill_one(progress) -> None:
            if progress.n_scored == 3 and not killed:
                killed.append(_child_of(os.getpid()))
                os.kill(killed[0], signal.SIGKILL)

        assert run_null(clips, progress=kill_one).n_failed == 0
        assert killed
        assert names(tmp_path / "table.csv") == expected(clips)

    def test_a_worker_that_cannot_start_ends_the_run_in_a_line(
        self, make_clips, run_null, null_job
    ):
        broken = replace(null_job, scorer="scorers:Nowhere")
        with pytest.raises(CryvisionError, match="Nowhere") as caught:
            run_null(make_clips("a.wav"), job=broken)
        assert "\n" not in str(caught.value)

    def test_a_worker_that_is_killed_while_it_starts_costs_nothing(
        self, make_clips, run_null, null_job, tmp_path
    ):
        unlucky = replace(null_job, scorer="scorers:UnluckyStart", folder=str(tmp_path))
        assert run_null(make_clips("a.wav", "b.wav"), job=unlucky).failures == {}
        assert (tmp_path / "first-start").exists()

    def test_workers_that_always_die_at_their_start_end_the_run_in_a_line(
        self, make_clips, run_null, null_job
    ):
        with pytest.raises(CryvisionError, match="it was killed by SIGKILL"):
            run_null(make_clips("a.wav"), job=replace(null_job, scorer="scorers:NeverStarts"))

    def test_nothing_is_left_in_the_temporary_folder(
        self, make_clips, run_null, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        run_null(make_clips("a.wav", "b-poison.wav"))
        assert not list((tmp_path / "temporary").iterdir())


def _child_of(pid: int) -> int:
    """One process that a process has started."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return int(next(text for path in children if (text := path.read_text())).split()[0])


class TestResume:
    @pytest.mark.usefixtures("same_process")
    def test_a_second_start_scores_what_is_new_changed_or_of_other_settings(
        self, make_clips, run_null, null_job, tmp_path
    ):
        clips = make_clips("a.wav", "b.wav")
        assert run_null(clips).n_scored == 2
        assert run_null(clips).n_scored == 0
        make_clips("0-new.wav")
        assert run_null(clips).n_scored == 1
        (clips / "b.wav").write_bytes(b"longer")
        assert run_null(clips).n_scored == 1
        os.utime(clips / "a.wav", (1, 1))
        assert run_null(clips).n_scored == 1
        assert run_null(clips, job=replace(null_job, bundle_sha256="1" * 64)).n_scored == 3
        assert (
            run_null(clips, job=replace(null_job, options=Options(smooth_seconds=2.0))).n_scored
            == 3
        )
        assert run_null(clips, job=replace(null_job, version="1")).n_scored == 3
        assert names(tmp_path / "table.csv") == ["0-new.wav", "a.wav", "b.wav"]

    @pytest.mark.usefixtures("same_process")
    def test_what_is_gone_from_the_sources_is_gone_from_the_table_and_comes_back_for_nothing(
        self, make_clips, run_null, tmp_path
    ):
        clips = make_clips("a.wav", "b.wav")
        run_null(clips)
        assert run_null(clips / "a.wav").n_clips == 1
        assert names(tmp_path / "table.csv") == ["a.wav"]
        assert run_null(clips).n_scored == 0
        assert names(tmp_path / "table.csv") == ["a.wav", "b.wav"]

    def test_failed_clips_stay_failed_until_a_retry_is_asked_for(
        self, make_clips, run_null, tmp_path
    ):
        clips = make_clips("a.wav", "b-unlucky.wav", "c-damaged.wav")
        (clips / "b-unlucky.wav").rename(clips / "b-poison.wav")
        assert run_null(clips).failures == {"WorkerCrash": 1, "MediaError": 1}
        assert run_null(clips).n_scored == 0
        again = run_null(clips, retry_failed=True)
        assert (again.n_scored, again.n_failed) == (2, 2)
        assert names(tmp_path / "table.csv") == expected(clips)

    @pytest.mark.usefixtures("same_process")
    def test_a_lost_or_deleted_table_comes_back_from_the_rows(self, make_clips, run_null, tmp_path):
        clips = make_clips("a.wav", "b.wav")
        run_null(clips)
        before = (tmp_path / "table.csv").read_bytes()
        (tmp_path / "table.csv").unlink()
        assert run_null(clips).n_scored == 0
        assert (tmp_path / "table.csv").read_bytes() == before

    @pytest.mark.usefixtures("same_process")
    def test_rows_that_the_disk_has_spoilt_are_one_line(self, make_clips, run_null, tmp_path):
        clips = make_clips("a.wav", "b.wav", "c.wav")
        run_null(clips)
        store = tmp_path / "table.csv.rows.sqlite"
        store.write_bytes(store.read_bytes()[:100] + b"spoilt" * 1000)
        with pytest.raises(CryvisionError, match=r"rows\.sqlite: rows must be kept in this file"):
            run_null(clips)
        store.unlink()
        (tmp_path / "table.csv").unlink()
        assert run_null(clips).n_scored == 3

    def test_ctrl_c_keeps_and_shows_what_is_scored(self, make_clips, run_null, tmp_path):
        clips = make_clips(*(f"{i:02d}-slow.wav" for i in range(16)))

        def stop(progress) -> None:
            if progress.n_scored == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_null(clips, progress=stop)
        shown = names(tmp_path / "table.csv")
        assert 4 <= len(shown) < 16
        assert len(set(shown)) == len(shown)
        assert run_null(clips).n_scored == 16 - len(shown)
        assert names(tmp_path / "table.csv") == expected(clips)

    @pytest.mark.usefixtures("same_process")
    def test_a_table_has_its_columns_even_if_every_clip_failed(
        self, make_clips, run_null, tmp_path
    ):
        summary = run_null(make_clips("a-damaged.wav"))
        (row,) = read_table(tmp_path / "table.csv")
        assert summary.n_failed == summary.n_clips == 1
        assert {"label", "n_bouts", "median_f0_hz", "status"} <= set(row)


SLOW_CLIPS = [f"{i:03d}-slow.wav" for i in range(60)]  # 3 s of work for one worker


@only_linux
class TestKilled:
    def test_a_killed_driver_gives_every_clip_once_and_leaves_no_orphan(
        self, make_clips, start_driver, tmp_path
    ):
        clips = make_clips(*SLOW_CLIPS)
        kill_and_finish(start_driver, "local", clips, tmp_path / "t.csv", kills=1)

    @pytest.mark.slow
    def test_a_driver_killed_at_ten_random_moments(self, make_clips, start_driver, tmp_path):
        clips = make_clips(*SLOW_CLIPS, *(f"x{i:03d}-slow.wav" for i in range(540)))
        kill_and_finish(start_driver, "local", clips, tmp_path / "t.csv", kills=10)

    def test_a_worker_that_is_busy_ends_with_its_driver(self, make_clips, start_driver, tmp_path):
        driver = start_driver("local", make_clips("hangs.wav"), tmp_path / "t.csv")
        until(lambda: len(driver.alive()) >= 2)
        time.sleep(1.0)  # the worker starts on its clip
        driver.kill()
        assert driver.wait_until_gone(ORPHAN_SECONDS) == []

    def test_a_second_run_on_the_same_table_is_refused_and_a_dead_one_holds_nothing(
        self, make_clips, start_driver, run_null, tmp_path
    ):
        clips = make_clips("hangs.wav")
        driver = start_driver("local", clips, tmp_path / "table.csv")
        until(lambda: len(driver.alive()) >= 2)
        with pytest.raises(CryvisionError, match="another run is at work on this table"):
            run_null(clips)
        driver.kill()
        (clips / "hangs.wav").rename(clips / "a.wav")
        assert run_null(clips).n_clips == 1


@pytest.mark.usefixtures("same_process")
class TestTarget:
    def test_what_is_not_a_table_of_a_run_is_never_replaced(self, make_clips, run_null, tmp_path):
        (tmp_path / "table.csv").write_text("my notes")
        with pytest.raises(CryvisionError, match="exists already"):
            run_null(make_clips("a.wav"))
        assert (tmp_path / "table.csv").read_text() == "my notes"

    @pytest.mark.parametrize("other", ["text", "database"])
    def test_a_file_that_is_not_of_a_run_is_left_alone(self, make_clips, run_null, tmp_path, other):
        place = tmp_path / "table.csv.rows.sqlite"
        if other == "text":
            place.write_text("my thesis, which is longer than the header of a database" * 10)
        else:
            database = sqlite3.connect(place)
            database.execute("CREATE TABLE thesis (chapter TEXT)")
            database.close()
        before = place.read_bytes()
        with pytest.raises(CryvisionError, match="rows must be kept in this file"):
            run_null(make_clips("a.wav"))
        assert place.read_bytes() == before

    def test_a_table_that_cannot_be_written_leaves_the_rows(
        self, make_clips, run_null, tmp_path, monkeypatch
    ):
        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        clips = make_clips("a.wav")
        with monkeypatch.context() as patch:
            patch.setattr("cryvision.batch.tables.write_records", full)
            with pytest.raises(CryvisionError, match="No space left"):
                run_null(clips)
        assert not list(tmp_path.glob(".*"))
        assert run_null(clips).n_scored == 0

    def test_leftovers_of_a_killed_run_go(self, make_clips, run_null, tmp_path):
        clips = make_clips("a.wav")
        run_null(clips)
        left = tmp_path / ".table.csv.0a.partial"
        left.touch()
        run_null(clips)
        assert not left.exists()

    @pytest.mark.parametrize("retry_failed", [False, True])
    def test_states_of_long_recordings_go_when_all_clips_have_a_row(
        self, make_clips, run_null, null_job, tmp_path, retry_failed
    ):
        folder = tmp_path / "table.csv.unfinished"
        job = replace(null_job, unfinished_dir=str(folder))
        (folder / ("0" * 32)).mkdir(parents=True)  # of settings that were given up
        clips = make_clips("a.wav", "damaged.wav", "long.wav")
        run_null(clips, job=job, retry_failed=retry_failed)
        assert not folder.exists()

    def test_what_else_lies_in_the_folder_of_states_stays(
        self, make_clips, run_null, null_job, tmp_path
    ):
        folder = tmp_path / "table.csv.unfinished"
        (folder / "drafts").mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
        job = replace(null_job, unfinished_dir=str(folder))
        run_null(make_clips("a.wav", "long.wav"), job=job)
        assert sorted(path.name for path in folder.iterdir()) == ["drafts", "notes.txt"]

    def test_a_state_is_kept_until_the_row_is_on_the_disk(
        self, make_clips, run_null, null_job, tmp_path, monkeypatch
    ):
        log = []

        def note(owner, name, counts=lambda value: True):
            real = getattr(owner, name)

            def noted(*values, **options):
                done = real(*values, **options)
                if counts(values[0]):
                    log.append(name)
                return done

            monkeypatch.setattr(owner, name, noted)

        note(Store, "add")
        note(Store, "commit")
        note(shutil, "rmtree", lambda path: "unfinished" in str(path))
        job = replace(null_job, unfinished_dir=str(tmp_path / "table.csv.unfinished"))
        run_null(make_clips("long.wav"), job=job)
        assert log[log.index("rmtree") - 2 :][:2] == ["add", "commit"]

    def test_what_the_rows_rest_on_is_said_once(self, make_clips, run_null, null_job, tmp_path):
        run_null(make_clips("a.wav", "b-damaged.wav"))
        about = json.loads((tmp_path / "table.csv.about.json").read_text())
        assert about["statuses"] == {"ok": 1, "MediaError": 1}
        assert about["settings_sha256"] == null_job.settings_sha256
        assert list(about["columns"]) == list(read_table(tmp_path / "table.csv")[0])


class TestRefused:
    @pytest.mark.parametrize("out", ["t.csv", "new/t.csv"])
    def test_no_clip_at_all_leaves_nothing(self, make_clips, run_null, tmp_path, out):
        source = make_clips("notes.txt")
        with pytest.raises(MediaError, match="there must be sound or video files"):
            run_null(source, out=tmp_path / out)
        with pytest.raises(MediaError, match="no such file"):
            run_null(source / "gone.wav", out=tmp_path / out)
        assert list(tmp_path.iterdir()) == [source]

    @pytest.mark.parametrize(
        ("module", "options"), [("ray", {"engine": "ray"}), ("pyarrow", {"formats": ["parquet"]})]
    )
    def test_what_is_not_installed_is_said_before_any_work(
        self, make_clips, tmp_path, monkeypatch, module, options
    ):
        monkeypatch.setitem(sys.modules, module, None)
        source = make_clips("a.wav")
        with pytest.raises(MissingDependencyError, match=r"pip install 'cryvision\[batch\]'"):
            score(source, tmp_path / "t.csv", **options)
        assert list(tmp_path.iterdir()) == [source]

    def test_no_source_at_all(self, tmp_path):
        with pytest.raises(
            MediaError, match="must be sound or video files to score; got no source"
        ):
            score([], tmp_path / "t.csv")
        assert not list(tmp_path.iterdir())

    def test_no_clip_at_all_leaves_what_was_scored_before(self, make_clips, run_null, tmp_path):
        source = make_clips("a.wav", "b.wav")
        run_null(source)
        before = {path: path.read_bytes() for path in tmp_path.glob("*.csv*")}
        with pytest.raises(MediaError, match="no such file"):
            run_null(source / "gone.wav")
        assert before.keys() == set(tmp_path.glob("*.csv*"))
        assert run_null(source).n_scored == 0

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"out": "t.xlsx"}, r"must end in \.csv"),
            ({"engine": "spark"}, "engine must be one of"),
            ({"workers": 0}, "workers must be at least 1"),
            ({"timeout_seconds": -1}, "timeout must not be negative"),
            ({"formats": ["docx"]}, "mp4-blurred, all; got 'docx'"),
            ({"min_gap_s": -1}, "the minimum gap must be 0 to 3600 s; got -1"),
            ({"formats": "csv"}, "formats must be a list of strings; got 'csv'"),
            ({"formats_dir": "x"}, "needs formats to write"),
            ({"timeline_hop_s": 1.0}, "needs csv, parquet or json among the formats; got none"),
            ({"timeline_hop_s": 1.0, "formats": ["rttm"]}, "among the formats; got rttm"),
            ({"timeline_hop_s": 0.001, "formats": ["csv"]}, "at least a frame"),
            ({"subject_pattern": "(.)"}, "needs a table of events or a summary; got neither"),
            ({"address": "auto"}, "for the engine ray"),
            ({"gpus_per_worker": 0.5}, "for the engine ray"),
        ],
    )
    def test_impossible_settings(self, make_clips, tmp_path, options, match):
        from bundles import BUNDLE_V1

        out = tmp_path / options.pop("out", "t.csv")
        with pytest.raises(ConfigError, match=match):
            score(make_clips("a.wav"), out, bundle=BUNDLE_V1, **options)
        assert not list(tmp_path.glob("t.*"))


class TestWork:
    def _work(self, n: int, size_bytes: int = 0) -> Work:
        clips = [ListedClip(f"{i}", f"{i}.wav", size_bytes, f"{i}.wav") for i in range(n)]
        return Work(lambda: iter(clips), n, n * size_bytes)

    def test_a_small_job_has_one_worker_and_a_large_one_all_there_is_room_for(self):
        assert self._work(1).workers(4) == self._work(40).workers(4) == 1
        assert self._work(1000).workers(4) == 4
        assert self._work(2, 2_000_000_000).workers(4) == 2  # two clips of hours

    @pytest.mark.parametrize(("n", "workers"), [(1, 4), (50, 2), (457, 2), (20_000, 64)])
    def test_shards_hold_each_clip_once_in_order_and_some_for_each_worker(self, n, workers):
        shards = list(self._work(n).shards(workers))
        assert [clip.path for shard in shards for clip in shard] == [f"{i}.wav" for i in range(n)]
        assert max(map(len, shards)) <= 200
        assert len(shards) >= min(n, 8 * workers)

    def test_a_shard_of_large_clips_is_short(self):
        shards = list(self._work(10_000, 100_000_000).shards(1))
        assert {len(shard) for shard in shards} == {2}

    def test_threads_are_divided_among_the_workers(self, monkeypatch, make_clips, run_null):
        given: list[int] = []

        class Counted(Supervisor):
            def __init__(self, job: Job, time_limit_s: float, threads: int) -> None:
                given.append(threads)
                super().__init__(job, time_limit_s, threads)

        monkeypatch.setattr(engines, "available_cpus", lambda: 4)
        monkeypatch.setattr(engines, "Supervisor", Counted)
        run_null(make_clips("a.wav", "b.wav"), workers=2)
        assert given == [2, 2]


@only_linux
def test_files_of_workers_that_nobody_watches_any_more_are_removed(tmp_path, monkeypatch, null_job):
    import fcntl

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new, held = (tmp_path / f"cryvision-worker-{name}" for name in ("old", "new", "held"))
    for folder in (old, new, held):
        folder.mkdir()
        (folder / "log").touch()
        (folder / "copy.wav").touch()
    for folder in (old, held):
        os.utime(folder, (1, 1))
    with open(held / "log", "r+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        Supervisor(null_job, 1.0, 1)
        assert sorted(p.name for p in tmp_path.iterdir()) == [held.name, new.name]


def test_every_column_is_on_the_page():
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
    assert not [name for name in COLUMNS if f"`{name}`" not in page]

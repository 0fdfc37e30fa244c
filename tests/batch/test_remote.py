"""Buckets: listed, read and written through a store on this machine; what vanishes is a row."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import BUNDLE_V1
from drivers import read_table

from cryvision.batch import remote
from cryvision.batch.run import run, score
from cryvision.batch.sources import find_clips
from cryvision.errors import ConfigError, MediaError, MissingDependencyError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server in this process, for 127.0.0.1 alone."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path, tone_wav):
    """A bucket with three clips, one of them damaged, and a note; gives its file system."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.chdir(tmp_path)
    fsspec.config.conf.clear()
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("babies")
    for name in ("night/a.wav", "night/b.wav"):
        store.put_file(str(tone_wav), f"babies/{name}")
    store.pipe("babies/night/c.wav", b"no sound")
    store.pipe("babies/night/note.txt", b"slept well")
    yield store
    store.rm("babies", recursive=True)


def test_a_bucket_is_listed_scored_and_written_as_parquet(bucket, tmp_path):
    pytest.importorskip("pyarrow")
    out = "s3://babies/out/t.parquet"
    summary = score("s3://babies/night", out, bundle=BUNDLE_V1, workers=1)
    assert summary.failures == {"MediaError": 1}
    bucket.invalidate_cache()
    bucket.get_file("babies/out/t.parquet", str(tmp_path / "copy.parquet"))
    rows = read_table(tmp_path / "copy.parquet")
    assert [row["path"] for row in rows] == [f"s3://babies/night/{n}.wav" for n in "abc"]
    assert [row["status"] for row in rows] == ["ok", "ok", "MediaError"]
    assert rows[0]["duration_s"] == pytest.approx(1.0)
    # The copy's own place on this machine tells nobody anything.
    assert "s3://babies/night/c.wav" in rows[2]["error"]
    assert "/cryvision-" not in rows[2]["error"]
    assert bucket.exists("babies/out/t.parquet.about.json")
    assert (tmp_path / "t.parquet.rows.sqlite").is_file()
    assert score("s3://babies/night", out, bundle=BUNDLE_V1).n_scored == 0


@pytest.mark.usefixtures("same_process")
def test_an_object_that_changes_is_scored_again_by_its_tag(bucket, tmp_path, make_media):
    out = tmp_path / "t.csv"
    score("s3://babies/night/*.wav", out, bundle=BUNDLE_V1, workers=1)
    other = make_media("other.wav", "-f", "lavfi", "-i", "aevalsrc=0.2*sin(2*PI*300*t):s=16000:d=1")
    assert other.stat().st_size == bucket.info("babies/night/a.wav")["size"]
    bucket.put_file(str(other), "babies/night/b.wav")
    assert score("s3://babies/night/*.wav", out, bundle=BUNDLE_V1, workers=1).n_scored == 1


@pytest.mark.usefixtures("same_process")
def test_an_object_that_vanishes_is_a_row(bucket, tmp_path, null_job, monkeypatch):
    listed = list(find_clips(["s3://babies/night/a.wav", "s3://babies/night/b.wav"], (), []))
    bucket.rm("babies/night/b.wav")
    monkeypatch.setattr("cryvision.batch.run.find_clips", lambda *a: iter(listed))
    summary = score("s3://babies/night", tmp_path / "t.csv", bundle=BUNDLE_V1, workers=1)
    assert summary.failures == {"MediaError": 1}
    assert "there is no such object" in read_table(tmp_path / "t.csv")[1]["error"]


@pytest.mark.usefixtures("same_process")
def test_a_manifest_may_lie_in_the_bucket_and_name_what_is_gone(bucket, tmp_path, null_job):
    bucket.pipe("babies/m.csv", b"path,x\nnight/a.wav,1\ns3://babies/night/b.wav,2\ngone.wav,3\n")
    run(null_job, ["s3://babies/m.csv"], str(tmp_path / "t.csv"))
    assert [row["path"] for row in read_table(tmp_path / "t.csv")] == [
        "s3://babies/night/a.wav",
        "s3://babies/night/b.wav",
        "s3://babies/gone.wav",
    ]


@pytest.mark.usefixtures("same_process")
def test_files_for_each_clip_are_written_here_from_the_copy(bucket, tmp_path):
    out = tmp_path / "t.csv"
    options = {"formats": ["png", "json"], "formats_dir": tmp_path / "files", "workers": 1}
    assert score("s3://babies/night/a.wav", out, bundle=BUNDLE_V1, **options).n_failed == 0
    folder = tmp_path / "files" / "s3" / "babies" / "night"
    assert sorted(path.name for path in folder.iterdir()) == ["a.wav.json", "a.wav.png"]
    assert '"path": "s3://babies/night/a.wav"' in (folder / "a.wav.json").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of POSIX")
def test_a_copy_is_for_this_user_alone(bucket, tmp_path):
    copy = remote.fetch("s3://babies/night/a.wav", tmp_path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert copy.name == "a.wav"


def test_a_table_that_is_not_ours_is_not_replaced(bucket):
    bucket.pipe("babies/t.csv", b"my notes")
    with pytest.raises(Exception, match="exists already"):
        score("s3://babies/night", "s3://babies/t.csv", bundle=BUNDLE_V1)
    assert bucket.cat_file("babies/t.csv") == b"my notes"


def test_what_is_not_there_is_one_line(bucket, tmp_path, null_job):
    for url in ("s3://babies/gone", "s3://babies/gone.wav", "s3://nobody/x/*.wav"):
        with pytest.raises(MediaError) as caught:
            run(null_job, [url], str(tmp_path / "t.csv"))
        assert "\n" not in str(caught.value)
        assert url in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense://a/b.wav", "http://h/b.wav", "zip://a.wav::b.zip"])
def test_a_url_that_nobody_can_open_is_refused(url):
    with pytest.raises(ConfigError, match=r"must (be a path|name one store)"):
        remote.file_system(url)


def test_a_missing_store_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingDependencyError, match="gcsfs"):
        remote.file_system("gs://babies/a.wav")


def test_without_fsspec_a_url_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cryvision\[batch\]'"):
        remote.file_system("s3://babies/a.wav")


def test_a_name_that_is_no_name_here_is_replaced(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(remote, "SCHEMES", ("memory",))
    store, _ = remote.file_system("memory://x")
    store.pipe("/x/" + "long" * 80 + ".wav", b"1")
    assert remote.fetch("memory://x/" + "long" * 80 + ".wav", tmp_path).name == "clip"

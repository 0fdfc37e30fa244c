"""The corpus that is fetched is the pinned one, whole, and is not fetched twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from logged import logged

from cryvision.datasets import donateacry as corpora
from cryvision.datasets.donateacry import corpus_digest, fetch_donateacry
from cryvision.datasets.labelled import CLEANED_FOLDER, find_labelled_clips
from cryvision.download import CACHE_VARIABLE
from cryvision.errors import DownloadError

PHONE = "0c8f14a9-6999-485b-97a2-913c1cbf099c"
FILES = {
    f"{CLEANED_FOLDER}/README.md": b"a corpus made up\n",
    f"{CLEANED_FOLDER}/hungry/{PHONE}-1431028888092-1.7-m-26-hu.wav": b"sound 1" * 500,
    f"{CLEANED_FOLDER}/hungry/{PHONE}-1431028888093-1.7-m-26-hu.wav": b"sound 2" * 600,
    f"{CLEANED_FOLDER}/tired/{PHONE}-1431028888094-1.7-m-26-ti.wav": b"sound 3" * 700,
    "README.md": b"of the repository\n",
    "donateacry-ios-upload-bucket/a.caf": b"not of the cleaned corpus",
}
CLIPS = sorted(path for path in FILES if path.endswith(".wav"))
N_BYTES = sum(len(FILES[path]) for path in FILES if path.startswith(CLEANED_FOLDER))


def listed(path: str, content: bytes) -> dict[str, Any]:
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"path": path, "type": "blob", "mode": "100644", "sha": sha1, "size": len(content)}


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path.rpartition("/")[2])
        if self.server.n_answers is not None:
            self.server.n_answers -= 1
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self.server.n_answers is None or self.server.n_answers >= 0:
            super().copyfile(source, outputfile)
        else:
            outputfile.write(source.read(1000))

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    """Serves a folder; after ``n_answers`` files it breaks off in the middle of each."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.folder = folder
        self.asked: list[str] = []
        self.n_answers: int | None = None
        self.url = f"http://127.0.0.1:{self.server_port}"

    def lists(self, tree: object, truncated: bool = False) -> None:
        text = json.dumps({"sha": "0" * 40, "tree": tree, "truncated": truncated})
        (self.folder / "tree.json").write_text(text)


Fetch = Callable[..., Path]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    monkeypatch.setattr(corpora, "CORPUS_SHA256", corpus_digest(folder / CLEANED_FOLDER))
    server = Server(folder)
    folders = [{"path": CLEANED_FOLDER, "type": "tree", "mode": "040000", "sha": "0" * 40}]
    server.lists(folders + [listed(path, content) for path, content in FILES.items()])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Fetch:
    return partial(
        fetch_donateacry,
        tmp_path / "fetched",
        base_url=server.url,
        tree_url=f"{server.url}/tree.json",
    )


def test_the_cleaned_corpus_is_fetched_and_nothing_else(
    server: Server, fetch: Fetch, tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = fetch(progress=lambda done, total: seen.append((done, total)))
    assert folder == tmp_path / "fetched" / CLEANED_FOLDER
    there = {
        path.relative_to(tmp_path / "fetched").as_posix(): path.read_bytes()
        for path in (tmp_path / "fetched").rglob("*")
        if path.is_file() and path.name != ".listing.json"
    }
    assert there == {path: FILES[path] for path in FILES if path.startswith(CLEANED_FOLDER)}
    assert seen[-1] == (N_BYTES, N_BYTES)
    clips = find_labelled_clips(folder).clips
    assert [clip.label for clip in clips] == ["hungry", "hungry", "tired"]


def test_the_licence_is_shown_before_anything_is_fetched(server: Server, fetch: Fetch) -> None:
    shown: list[tuple[str, int]] = []
    with logged(lambda line: shown.append((line, len(server.asked)))):
        fetch()
    assert len(shown) == 1
    line, n_asked = shown[0]
    assert n_asked == 0
    assert "opendatacommons.org/licenses/odbl/1.0" in line
    assert "opendatacommons.org/licenses/dbcl/1.0" in line


def test_what_is_there_is_not_fetched_again_even_offline(server: Server, fetch: Fetch) -> None:
    folder = fetch()
    server.asked.clear()
    server.n_answers = 0
    with logged() as lines:
        assert fetch() == folder
    assert lines == []
    assert server.asked == []


def test_by_default_it_lies_in_the_cache(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = fetch_donateacry(**fetch.keywords)  # type: ignore[attr-defined]
    assert folder == tmp_path / "cache" / "donateacry-6baf5ac" / CLEANED_FOLDER
    assert folder.is_dir()


def test_an_interrupted_fetch_goes_on_where_it_stopped(server: Server, fetch: Fetch) -> None:
    server.n_answers = 3  # the listing, the README and a clip
    with pytest.raises(DownloadError) as refusal:
        fetch()
    message = str(refusal.value)
    assert Path(CLIPS[1]).name in message
    assert "ended after 1000 of 4200 bytes" in message
    assert "run it again" in message
    assert "\n" not in message
    server.n_answers = None
    server.asked.clear()
    fetch()
    assert server.asked == [Path(path).name for path in CLIPS[1:]]


def test_another_file_than_listed_is_refused_and_named(server: Server, fetch: Fetch) -> None:
    path = server.folder / CLIPS[1]
    path.write_bytes(FILES[CLIPS[1]][::-1])
    with pytest.raises(DownloadError, match=f"{path.name} could not .*git's SHA-1"):
        fetch()
    path.write_bytes(FILES[CLIPS[1]])
    fetch()


def test_a_corpus_other_than_the_pinned_one_is_refused(server: Server, fetch: Fetch) -> None:
    altered = FILES | {CLIPS[0]: b"another sound"}
    (server.folder / CLIPS[0]).write_bytes(altered[CLIPS[0]])
    server.lists([listed(path, content) for path, content in altered.items()])
    with pytest.raises(DownloadError, match=r"must have the digest .* lists other files"):
        fetch()
    (server.folder / CLIPS[0]).write_bytes(FILES[CLIPS[0]])
    server.lists([listed(path, content) for path, content in FILES.items()])
    fetch()


def test_a_listing_without_a_file_of_the_corpus_is_refused(server: Server, fetch: Fetch) -> None:
    server.lists([listed(path, FILES[path]) for path in FILES if path != CLIPS[0]])
    with pytest.raises(DownloadError, match="must have the digest"):
        fetch()


def test_an_altered_file_is_fetched_anew_and_an_extra_one_is_refused(
    server: Server, fetch: Fetch, tmp_path: Path
) -> None:
    folder = fetch()
    altered = tmp_path / "fetched" / CLIPS[0]
    altered.write_bytes(b"cut")
    server.asked.clear()
    fetch()
    assert server.asked == [altered.name]
    extra = folder / "hungry" / "extra.wav"
    extra.write_bytes(b"my own")
    with pytest.raises(DownloadError, match=r"the corpus alone; remove .*extra\.wav"):
        fetch()
    assert extra.exists()


@pytest.mark.parametrize(
    "tree",
    [
        "no list",
        [],
        [{"type": "blob"}],
        [{"path": f"{CLEANED_FOLDER}/a.wav", "type": "blob", "sha": "0" * 40, "size": "many"}],
        [{"path": f"{CLEANED_FOLDER}/a.wav", "type": "blob", "sha": "0" * 39, "size": 1}],
        [{"path": f"{CLEANED_FOLDER}/../a.wav", "type": "blob", "sha": "0" * 40, "size": 1}],
        [{"path": f"{CLEANED_FOLDER}/x/..", "type": "blob", "sha": "0" * 40, "size": 1}],
        [{"path": f"{CLEANED_FOLDER}//a.wav", "type": "blob", "sha": "0" * 40, "size": 1}],
        [{"path": f"{CLEANED_FOLDER}/x\\a.wav", "type": "blob", "sha": "0" * 40, "size": 1}],
    ],
)
def test_a_listing_that_cannot_be_trusted_is_refused(
    server: Server, fetch: Fetch, tree: object
) -> None:
    server.lists(tree)
    with pytest.raises(DownloadError, match=r"tree\.json must list the files"):
        fetch()
    assert server.asked == ["tree.json"]
    server.lists([listed(path, content) for path, content in FILES.items()])
    fetch()


def test_a_listing_cut_short_or_of_another_kind_is_refused(server: Server, fetch: Fetch) -> None:
    server.lists([listed(path, content) for path, content in FILES.items()], truncated=True)
    with pytest.raises(DownloadError, match="cut short"):
        fetch()
    (server.folder / "tree.json").write_text("<html>log in first</html>")
    with pytest.raises(DownloadError, match="must list the files"):
        fetch()


def test_two_fetches_at_once_both_end_well(fetch: Fetch) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            fetch()
        except DownloadError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert corpus_digest(fetch()) == corpora.CORPUS_SHA256


def test_offline_the_message_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as refusal:
        fetch_donateacry(tmp_path, tree_url="http://127.0.0.1:1/tree.json")
    message = str(refusal.value)
    assert message.startswith("http://127.0.0.1:1/tree.json could not be fetched: ")
    assert f"put {CLEANED_FOLDER} of github.com/gveres/donateacry-corpus at 6baf5ac" in message
    assert message.endswith(str(tmp_path))


def test_the_digest_sees_names_bytes_and_borders(tmp_path: Path) -> None:
    digests = set()
    for files in ({"a": "12", "b": "3"}, {"a": "1", "b": "23"}, {"a": "12", "c": "3"}, {"a": "12"}):
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        (tmp_path / "x").mkdir()
        for name, content in files.items():
            (tmp_path / "x" / name).write_text(content)
        digests.add(corpus_digest(tmp_path / "x"))
    assert len(digests) == 4
    before = corpus_digest(tmp_path / "x")
    (tmp_path / "x" / ".DS_Store").write_text("")
    (tmp_path / "x" / "b.part").write_text("half")
    assert corpus_digest(tmp_path / "x") == before


@pytest.mark.corpus
def test_the_pinned_digest_is_that_of_the_published_corpus(corpus: Path) -> None:
    folder = fetch_donateacry(
        corpus / "donateacry-corpus", tree_url="http://127.0.0.1:1/never-asked"
    )
    assert len(find_labelled_clips(folder).clips) == 457

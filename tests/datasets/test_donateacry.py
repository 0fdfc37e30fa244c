"""The corpus that is fetched is the pinned one, whole, and is not fetched twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from logged import logged
from serving import serving

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


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in the cache that the corpus is fetched to."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "donateacry-6baf5ac"


@pytest.fixture
def server(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    monkeypatch.setattr(corpora, "CORPUS_SHA256", corpus_digest(folder / CLEANED_FOLDER))
    server = Server(folder)
    folders = [{"path": CLEANED_FOLDER, "type": "tree", "mode": "040000", "sha": "0" * 40}]
    server.lists(folders + [listed(path, content) for path, content in FILES.items()])
    monkeypatch.setattr(corpora, "BASE_URL", server.url)
    monkeypatch.setattr(corpora, "TREE_URL", f"{server.url}/tree.json")
    with serving(server):
        yield server


def test_the_cleaned_corpus_is_fetched_and_nothing_else(server: Server, place: Path) -> None:
    folder = fetch_donateacry()
    assert folder == place / CLEANED_FOLDER
    there = {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and path.name != ".listing.json"
    }
    assert there == {path: FILES[path] for path in FILES if path.startswith(CLEANED_FOLDER)}
    clips = find_labelled_clips(folder).clips
    assert [clip.label for clip in clips] == ["hungry", "hungry", "tired"]


def test_the_licence_is_shown_before_anything_is_fetched(server: Server) -> None:
    shown: list[tuple[str, int]] = []
    with logged(lambda line: shown.append((line, len(server.asked)))):
        fetch_donateacry()
    assert len(shown) == 1
    line, n_asked = shown[0]
    assert n_asked == 0
    assert "opendatacommons.org/licenses/odbl/1.0" in line
    assert "opendatacommons.org/licenses/dbcl/1.0" in line


def test_what_is_there_is_not_fetched_again_even_offline(server: Server) -> None:
    folder = fetch_donateacry()
    server.asked.clear()
    server.n_answers = 0
    with logged() as lines:
        assert fetch_donateacry() == folder
    assert lines == []
    assert server.asked == []


def test_an_interrupted_fetch_goes_on_where_it_stopped(server: Server) -> None:
    server.n_answers = 3  # the listing, the README and a clip
    with pytest.raises(DownloadError) as refusal:
        fetch_donateacry()
    message = str(refusal.value)
    assert Path(CLIPS[1]).name in message
    assert "ended after 1000 of 4200 bytes" in message
    assert "run it again" in message
    assert "\n" not in message
    server.n_answers = None
    server.asked.clear()
    fetch_donateacry()
    assert server.asked == [Path(path).name for path in CLIPS[1:]]


def test_another_file_than_listed_is_refused_and_named(server: Server) -> None:
    path = server.folder / CLIPS[1]
    path.write_bytes(FILES[CLIPS[1]][::-1])
    with pytest.raises(DownloadError, match=f"{path.name} could not .*git's SHA-1"):
        fetch_donateacry()
    path.write_bytes(FILES[CLIPS[1]])
    fetch_donateacry()


def test_a_corpus_other_than_the_pinned_one_is_refused(server: Server) -> None:
    altered = FILES | {CLIPS[0]: b"another sound"}
    (server.folder / CLIPS[0]).write_bytes(altered[CLIPS[0]])
    server.lists([listed(path, content) for path, content in altered.items()])
    with pytest.raises(DownloadError, match=r"must have the digest .* lists other files"):
        fetch_donateacry()
    (server.folder / CLIPS[0]).write_bytes(FILES[CLIPS[0]])
    server.lists([listed(path, content) for path, content in FILES.items()])
    fetch_donateacry()


def test_a_listing_without_a_file_of_the_corpus_is_refused(server: Server) -> None:
    server.lists([listed(path, FILES[path]) for path in FILES if path != CLIPS[0]])
    with pytest.raises(DownloadError, match="must have the digest"):
        fetch_donateacry()


def test_an_altered_file_is_fetched_anew_and_an_extra_one_is_refused(
    server: Server, place: Path
) -> None:
    folder = fetch_donateacry()
    altered = place / CLIPS[0]
    altered.write_bytes(b"cut")
    server.asked.clear()
    fetch_donateacry()
    assert server.asked == [altered.name]
    extra = folder / "hungry" / "extra.wav"
    extra.write_bytes(b"my own")
    with pytest.raises(DownloadError, match=r"the corpus alone; remove .*extra\.wav"):
        fetch_donateacry()
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
def test_a_listing_that_cannot_be_trusted_is_refused(server: Server, tree: object) -> None:
    server.lists(tree)
    with pytest.raises(DownloadError, match=r"tree\.json must list the files"):
        fetch_donateacry()
    assert server.asked == ["tree.json"]
    server.lists([listed(path, content) for path, content in FILES.items()])
    fetch_donateacry()


def test_a_listing_cut_short_or_of_another_kind_is_refused(server: Server) -> None:
    server.lists([listed(path, content) for path, content in FILES.items()], truncated=True)
    with pytest.raises(DownloadError, match="cut short"):
        fetch_donateacry()
    (server.folder / "tree.json").write_text("<html>log in first</html>")
    with pytest.raises(DownloadError, match="must list the files"):
        fetch_donateacry()


def test_two_fetches_at_once_both_end_well(server: Server) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            fetch_donateacry()
        except DownloadError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert corpus_digest(fetch_donateacry()) == corpora.CORPUS_SHA256


def test_offline_the_message_says_what_to_put_where(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "TREE_URL", "http://127.0.0.1:1/tree.json")
    with pytest.raises(DownloadError) as refusal:
        fetch_donateacry()
    message = str(refusal.value)
    assert message.startswith("http://127.0.0.1:1/tree.json could not be fetched: ")
    assert f"put {CLEANED_FOLDER} of github.com/gveres/donateacry-corpus at 6baf5ac" in message
    assert message.endswith(str(place))


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
    folder = corpus / "donateacry-corpus" / CLEANED_FOLDER
    assert corpus_digest(folder) == corpora.CORPUS_SHA256
    assert len(find_labelled_clips(folder).clips) == 457

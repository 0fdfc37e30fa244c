"""What is downloaded is the file that was asked for, there whole or not at all."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from serving import serving
from waiting import until

from cryvision import download as downloads
from cryvision.download import CACHE_VARIABLE, cache_folder, download
from cryvision.errors import DownloadError

CONTENT = bytes(i * i // 7 % 256 for i in range(300_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_SHA1 = hashlib.sha1(b"blob 300000\0" + CONTENT).hexdigest()
WAIT_S = 10.0
"""Until a test gives up waiting; what it waits for takes milliseconds."""


class Server(ThreadingHTTPServer):
    """Serves ``content`` at any path, as badly as its attributes say, and notes what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.says_length = True
        self.drops_after: int | None = None
        self.pauses_after: int | None = None
        self.go_on = threading.Event()
        self.status = 200
        self.redirects: dict[str, str] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/model.onnx"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is part of these tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            self.end_headers()
            return
        self.send_response(server.status)
        body = server.content
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.pauses_after is not None:
            self.wfile.write(body[: server.pauses_after])
            server.go_on.wait(WAIT_S)
            body = body[server.pauses_after :]
        self.wfile.write(body[: server.drops_after])

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with serving(server):
        yield server
        server.go_on.set()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.onnx"


def files_beside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_is_fetched_checked_and_alone(
    server: Server, target: Path, says_length: bool
) -> None:
    server.says_length = says_length
    seen: list[tuple[int, int | None]] = []
    checks = {"sha256": SHA256.upper(), "git_blob_sha1": GIT_SHA1}
    got = download(
        server.url, target, **checks, progress=lambda done, total: seen.append((done, total))
    )
    assert got == target
    assert target.read_bytes() == CONTENT
    assert files_beside(target) == ["model.onnx"]
    assert seen[-1] == (300_000, 300_000 if says_length else None)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_a_file_that_fits_is_not_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    for checks in ({"sha256": SHA256}, {"git_blob_sha1": GIT_SHA1}, {"size_bytes": 300_000}, {}):
        assert download(server.url, target, **checks) == target  # type: ignore[arg-type]
    assert server.asked == []


def test_a_file_that_does_not_fit_is_replaced_once_the_new_one_is_whole(
    server: Server, target: Path
) -> None:
    target.parent.mkdir()
    target.write_bytes(b"an older model")
    server.drops_after = 1000
    with pytest.raises(DownloadError):
        download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == b"an older model"
    server.drops_after = None
    download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_connection_that_ends_early_leaves_nothing(server: Server, target: Path) -> None:
    server.drops_after = 100_000
    with pytest.raises(DownloadError, match="ended after 100000 of 300000 bytes"):
        download(server.url, target)
    assert files_beside(target) == []


def test_git_and_this_package_know_a_file_by_the_same_hash(server: Server, target: Path) -> None:
    server.content = b"test content\n"
    # As git itself prints it for these bytes; see "Git Objects" in the book Pro Git.
    download(server.url, target, git_blob_sha1="d670460b4b4aece5915caf5c68d12f560a9fe3e4")
    assert target.read_bytes() == server.content


@pytest.mark.parametrize(
    ("checks", "rule"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 of the file must be {'0' * 64}; got {SHA256}"),
        ({"git_blob_sha1": "0" * 40}, f"git's SHA-1 of the file must be {'0' * 40}"),
        ({"size_bytes": 300_001}, "must have 300001 bytes; got 300000"),
        ({"size_bytes": 1000}, "must have 1000 bytes; the server sends more"),
    ],
)
def test_another_file_than_asked_for_is_refused(
    server: Server, target: Path, checks: dict[str, str], rule: str
) -> None:
    with pytest.raises(DownloadError, match=rule):
        download(server.url, target, **checks)  # type: ignore[arg-type]
    assert not target.exists()
    download(server.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_an_error_says_what_was_asked_for_why_it_failed_and_what_to_do(
    server: Server, target: Path
) -> None:
    server.status = 404
    with pytest.raises(DownloadError) as refusal:
        download(server.url, target)
    assert str(refusal.value) == (
        f"{server.url} could not be fetched: the server answered 404 Not Found; "
        f"download it by hand to {target}"
    )
    with pytest.raises(DownloadError, match=r"; ask for the model$"):
        download(server.url, target, by_hand="ask for the model")
    assert files_beside(target) == []


def test_offline_is_said_in_one_line(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/model.onnx"
        with pytest.raises(DownloadError, match="Connection refused") as refusal:
            download(url, target, sha256=SHA256)
    assert "\n" not in str(refusal.value)
    assert files_beside(target) == []


def test_a_silent_server_is_left(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.2)
    server.pauses_after = 1000
    with pytest.raises(DownloadError, match=r"the server was silent for 0.2 s"):
        download(server.url, target, sha256=SHA256)
    assert files_beside(target) == []


def test_redirects_are_followed_within_the_web_only(
    server: Server, target: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not to be copied")
    base = server.url.rpartition("/")[0]
    server.redirects = {
        "/moved": server.url,
        "/file": secret.as_uri(),
        "/ftp": "ftp://127.0.0.1/model.onnx",
        "/loop": f"{base}/loop",
    }
    for name in ("file", "ftp", "loop"):
        with pytest.raises(DownloadError, match=r"redirect not to follow|unknown url type"):
            download(f"{base}/{name}", target)
        assert not target.exists()
    download(f"{base}/moved", target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "model"])
def test_other_addresses_are_refused(target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="unknown url type"):
        download(url, target)
    assert not target.exists()


def test_two_downloads_at_once_do_not_mix(server: Server, target: Path) -> None:
    server.pauses_after = 100_000
    errors: list[Exception] = []

    def fetch() -> None:
        try:
            download(server.url, target, sha256=SHA256)
        except DownloadError as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(server.asked) == len(threads))
    server.go_on.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert errors == []
    assert target.read_bytes() == CONTENT
    assert files_beside(target) == ["model.onnx"]


def test_a_place_that_cannot_be_written_is_said_in_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder must be")
    with pytest.raises(DownloadError, match=r"by hand to .*taken"):
        download(server.url, tmp_path / "taken" / "model.onnx")


def test_the_cache_is_where_the_user_or_the_platform_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("HOME", "/home/ada")
    for platform, variables, expected in (
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/cryvision"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/cryvision"),
        ("darwin", {}, "/home/ada/Library/Caches/cryvision"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/cryvision"),
        ("win32", {"LOCALAPPDATA": ""}, "/home/ada/AppData/Local/cryvision"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert cache_folder().as_posix() == expected

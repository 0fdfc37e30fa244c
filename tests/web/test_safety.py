"""Whatever is sent to the server is refused or shown as text, and nothing leaves this machine."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_requests import HOSTS, ORIGINS, PATHS, POLYGLOTS, SCRIPT, TRAVERSALS, named_form
from no_network import WATCH
from served import DEMO, RESCAN_SECONDS, Served, upload, wait_for

from cryvision.annotations.corrections import corrections_path
from cryvision.errors import ConfigError
from cryvision.web import uploads
from cryvision.web.guard import MAX_FAILURES, Guard
from cryvision.web.passwords import Passwords, hash_password
from cryvision.web.settings import ServeSettings
from cryvision.web.uploads import RefusedError

HTML_NAME = f"{SCRIPT}.mp4"


@pytest.fixture(scope="module")
def strict(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A server that takes 1 MB and six seconds, and wants a password."""
    folder = tmp_path_factory.mktemp("strict")
    auth = folder / "auth"
    auth.write_text("# who may come in\n" + hash_password("ada", "correct horse") + "\n")
    auth.chmod(0o600)
    return serve(
        tmp_path_factory.mktemp("empty"),
        *("--max-upload-mb", "1", "--max-minutes", "0.1", "--auth-file", str(auth)),
    )


@pytest.fixture
def inside(strict: Served) -> Iterator[Any]:
    """A client that came in with the password."""
    with strict.client(auth=("ada", "correct horse")) as client:
        yield client


@pytest.mark.parametrize("host", HOSTS)
def test_a_foreign_host_is_refused(served: Served, client: Any, host: str) -> None:
    assert client.get("/api/session", headers={"host": host}).status_code == 400
    assert client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "localhost"])
def test_names_of_this_machine_are_known(served: Served, client: Any, host: str) -> None:
    named = host.format(served.port)
    assert client.get("/healthz", headers={"host": named}).status_code == 200


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_foreign_origin_is_refused(served: Served, client: Any, origin: str) -> None:
    headers = {"origin": origin}
    with DEMO.open("rb") as file:
        answer = client.post("/api/clips", files={"file": ("a.mp4", file)}, headers=headers)
    assert answer.status_code == 403
    assert client.get("/api/clips", headers=headers).status_code == 403
    websockets = pytest.importorskip("websockets.sync.client")
    with pytest.raises(Exception, match="403"):
        websockets.connect(f"ws://127.0.0.1:{served.port}/api/live?kind=browser", origin=origin)


def test_what_another_page_embeds_is_refused(client: Any, scored: str) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
        url = f"/api/clips/{scored}/spectrogram.png"
        assert client.get(url, headers=headers).status_code == 403
        headers["sec-fetch-mode"] = "navigate"
        assert client.get("/", headers=headers).status_code == 200  # a link


def test_every_answer_has_the_headers_that_keep_it_safe(client: Any, scored: str) -> None:
    paths = ("/", "/api/session", f"/api/clips/{scored}/media", "/nothing", "/v1/docs", "/static/x")
    for path in paths:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("name", sorted(POLYGLOTS))
def test_what_is_no_media_is_refused(served: Served, client: Any, name: str) -> None:
    answer = client.post("/api/clips", files={"file": (name, POLYGLOTS[name])})
    assert answer.status_code in (415, 422), answer.text
    assert answer.json()["error"]
    assert "cryvision-web" not in answer.text
    assert "root:" not in answer.text


def test_media_that_is_also_a_page_is_played_as_media_alone(client: Any, tone_wav: Path) -> None:
    clip = upload(client, _with_html(tone_wav), "page.html")
    answer = client.get(f"/api/clips/{clip}/media")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["x-content-type-options"] == "nosniff"
    client.delete(f"/api/clips/{clip}")


def _with_html(wav: Path) -> Path:
    path = wav.with_name("page.wav")
    path.write_bytes(wav.read_bytes() + b"LIST" + (60).to_bytes(4, "little") + b"<html>".ljust(60))
    return path


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_name_decides_nothing(served: Served, client: Any, tone_wav: Path, name: str) -> None:
    answer = client.post("/api/clips", **named_form(name, tone_wav.read_bytes()))
    if answer.status_code != 202:
        assert answer.status_code in (400, 422)
        return
    clip = answer.json()["clip_id"]
    wait_for(client, answer.json()["job_id"])
    (private,) = [p for p in served.temporary.iterdir() if p.name.startswith("cryvision-web-")]
    (kept,) = (private / "clips" / clip).iterdir()
    assert kept.read_bytes() == tone_wav.read_bytes()
    (row,) = [row for row in client.get("/api/clips").json() if row["clip_id"] == clip]
    assert row["name"].isprintable()
    assert len(row["name"]) <= 200
    assert not {"/", "\u202e"} & set(row["name"])
    download = client.get(f"/api/clips/{clip}/export/raven")
    assert "set-cookie" not in download.headers
    client.delete(f"/api/clips/{clip}")


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(served: Served, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", path)  # as it is: a client would tidy it up
    answer = connection.getresponse()
    assert answer.status in (400, 404)
    assert b"import" not in answer.read()
    connection.close()


def test_html_in_names_and_labels_stays_text(client: Any) -> None:
    clip = upload(client, DEMO, HTML_NAME)
    state = client.get(f"/api/clips/{clip}/corrections").json()
    state["events"][0]["label"] = SCRIPT
    assert client.put(f"/api/clips/{clip}/corrections", json=state).status_code == 200
    for path in ("", "/corrections", "/export/json", "/export/label-studio?which=corrected"):
        answer = client.get(f"/api/clips/{clip}{path}")
        assert answer.headers["content-type"].startswith("application/json")
    for form in ("eaf", "textgrid", "vtt", "boris"):
        answer = client.get(f"/api/clips/{clip}/export/{form}?which=corrected")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert not answer.headers["content-type"].startswith("text/html")
        if form in ("eaf", "vtt"):
            assert SCRIPT not in answer.text
    client.delete(f"/api/clips/{clip}")


def test_a_length_of_a_gigabyte_is_refused_before_it_is_sent(served: Served) -> None:
    head = (
        f"POST /api/clips HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while block := connection.recv(4096):
            answer += block
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most 500 MB" in answer


def test_an_upload_of_unstated_length_ends_at_the_limit(strict: Served, inside: Any) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(40):
            yield bytes(65_536)

    answer = inside.post("/v1/classify", content=blocks())
    assert answer.status_code == 413
    (private,) = [p for p in strict.temporary.iterdir() if p.name.startswith("cryvision-web-")]
    assert not any((private / "clips").iterdir())


def test_a_clip_that_is_too_long_is_refused(inside: Any) -> None:
    answer = inside.post("/api/clips", files={"file": ("a.mp4", DEMO.read_bytes())})
    assert answer.status_code == 413
    assert "0.1 minutes" in answer.json()["error"]


def test_what_is_no_form_or_has_no_length_is_refused(client: Any, served: Served) -> None:
    headers = {"content-type": "multipart/form-data"}
    assert client.post("/api/clips", content=b"x", headers=headers).status_code in (400, 422)
    assert client.post("/api/clips", data={"other": "x"}).status_code in (415, 422)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.putrequest("POST", "/api/clips")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


@pytest.mark.parametrize(
    ("idle_s", "slow_after_s", "words"), [(0.05, 60.0, "stalled"), (5.0, 0.0, "too slow")]
)
def test_an_upload_that_stalls_or_crawls_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, idle_s: float, slow_after_s: float, words: str
) -> None:
    from starlette.requests import Request

    from cryvision.web.clips import Clips

    class Page:
        settings = ServeSettings()
        clips = Clips(tmp_path, None)

    async def crawl() -> dict[str, Any]:
        await asyncio.sleep(0.2)
        return {"type": "http.request", "body": b"x", "more_body": True}

    monkeypatch.setattr(uploads, "IDLE_SECONDS", idle_s)
    monkeypatch.setattr(uploads, "SLOW_AFTER_SECONDS", slow_after_s)
    (tmp_path / "clips").mkdir()
    headers = [(b"content-length", b"1000000"), (b"content-type", b"application/octet-stream")]
    scope = {"type": "http", "method": "POST", "headers": headers, "path": "/", "query_string": b""}
    receiver = uploads.Receiver(Page())  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=words) as refusal:
        asyncio.run(receiver.receive(Request(scope, crawl)))
    assert refusal.value.status == 408
    assert not any((tmp_path / "clips").iterdir())


def test_nobody_comes_in_without_the_password(strict: Served) -> None:
    with strict.client() as stranger:
        for path in ("/", "/api/clips", "/healthz", "/static/index.html", "/openapi.json"):
            answer = stranger.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
        assert stranger.get("/", auth=("ada", "wrong horse")).status_code == 401
        assert stranger.get("/", auth=("eve", "correct horse")).status_code == 401
        assert stranger.get("/", headers={"authorization": "Basic !"}).status_code == 401
        assert stranger.get("/", headers={"cookie": "cryvision=guess"}).status_code == 401
    websockets = pytest.importorskip("websockets.sync.client")
    with pytest.raises(Exception, match="403"):
        websockets.connect(f"ws://127.0.0.1:{strict.port}/api/live?kind=browser")


def test_a_login_is_a_cookie_that_scripts_and_other_sites_do_not_get(strict: Served) -> None:
    with strict.client() as client:
        answer = client.get("/api/session", auth=("ada", "correct horse"))
        assert answer.json()["who"] == "ada"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert client.get("/api/session").json()["who"] == "ada"  # by the cookie alone


def test_guessing_passwords_is_slowed_down() -> None:
    class Known:
        def check(self, name: str, password: str) -> bool:
            return password == "correct horse"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, "127.0.0.1", Known())  # type: ignore[arg-type]

    def status(password: str) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        code = base64.b64encode(f"ada:{password}".encode())
        headers = [(b"host", b"localhost"), (b"authorization", b"Basic " + code)]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        asyncio.run(guard(scope, send, send))
        return int(sent[0]["status"])

    assert status("correct horse") == 200
    guesses = [status(f"guess {n}") for n in range(MAX_FAILURES + 2)]
    assert guesses == [401] * MAX_FAILURES + [429] * 2


def test_passwords_are_kept_as_hashes(tmp_path: Path) -> None:
    line = hash_password("ada", "correct horse")
    assert "horse" not in line
    path = tmp_path / "auth"
    path.write_text(line)
    path.chmod(0o600)
    assert Passwords(path).check("ada", "correct horse")
    assert not Passwords(path).check("ada", "correct  horse")
    with pytest.raises(ConfigError, match="8 characters"):
        hash_password("ada", "short")
    with pytest.raises(ConfigError, match="colon"):
        hash_password("a:b", "correct horse")


@pytest.mark.parametrize(
    "text", ["", "ada", "ada:plain:password", "ada:scrypt:x:y:z", "ada:scrypt:*:*"]
)
def test_a_file_of_passwords_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "auth"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"auth"):
        Passwords(path)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_a_file_of_passwords_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "auth"
    path.write_text(hash_password("ada", "correct horse"))
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="owner alone"):
        Passwords(path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_a_network_is_served_on_request_alone(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--insecure"):
        ServeSettings(host=host)
    assert ServeSettings(host=host, insecure=True).host == host
    assert ServeSettings(host=host, auth_file=tmp_path).host == host


def test_nothing_is_tried_to_reach_and_no_name_is_logged(tmp_path: Path) -> None:
    """With the network forbidden but for what the server itself listens on."""
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(DEMO, folder / "secret-name.mp4")
    paths = os.pathsep.join([str(watch), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "TRIED": str(tmp_path / "tried")}
    command = ("-m", "cryvision", "serve", "--folder", str(folder), "--port", "0")
    process = subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    match = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
    assert match is not None
    served = Served(process, f"http://127.0.0.1:{match[1]}", tmp_path, folder)
    with served.client() as client:
        (row,) = client.get("/api/clips").json()
        wait_for(client, client.post(f"/api/clips/{row['clip_id']}/score").json()["job_id"])
        for path in ("media", "tracks", "export/json", "export/eaf", "nothing"):
            client.get(f"/api/clips/{row['clip_id']}/{path}")
        client.post("/api/clips", files={"file": ("other-secret.wav", b"none")})
    _, printed = served.end()
    assert "secret" not in printed
    assert printed.splitlines() == ["cryvision: stopped"]
    assert not (tmp_path / "tried").exists(), (tmp_path / "tried").read_text()


def test_requests_that_are_no_json_are_refused_in_one_line(client: Any, scored: str) -> None:
    url = f"/api/clips/{scored}/corrections"
    bodies = (
        b"",
        b"{",
        b"[]",
        b'{"version": 0}',
        b'{"version": "0", "events": []}',
        b"[" * 100_000,
    )
    for body in bodies:
        answer = client.put(url, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), body[:20]
        assert "\n" not in answer.json()["error"]
    nan = b'{"version": 0, "events": [{"id": "a", "onset_s": NaN, "offset_s": 1, "label": "x"}]}'
    answer = client.put(url, content=nan, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert not list(Path(client.base_url.path).glob("*.corrections.json"))


def test_damaged_corrections_do_not_say_where_they_lie(
    served: Served, client: Any, scored: str
) -> None:
    (clip,) = served.folder.glob("*.mp4")
    damaged = corrections_path(clip)
    damaged.write_text("{")
    url = f"/api/clips/{scored}/corrections"
    try:
        for answer in (client.get(url), client.put(url, json={"version": 0, "events": []})):
            assert answer.status_code == 422
            assert "damaged" in answer.json()["error"]
            assert str(served.folder) not in answer.text
    finally:
        damaged.unlink()


def test_a_folder_that_is_away_for_a_while_keeps_its_clips_and_its_name(
    served: Served, client: Any, scored: str, tone_wav: Path
) -> None:
    uploaded = upload(client, tone_wav)
    away = served.folder.rename(served.folder.with_name("away"))
    try:
        time.sleep(RESCAN_SECONDS)
        table = client.get("/api/clips")
        assert {scored, uploaded} <= {row["clip_id"] for row in table.json()}
        media = client.get(f"/api/clips/{scored}/media")
        assert media.status_code == 404
        saved = client.put(f"/api/clips/{scored}/corrections", json={"version": 0, "events": []})
        assert saved.status_code == 422
        assert not served.folder.exists()
        heatmap = client.get("/api/folder/heatmap")
        assert heatmap.json()["n_clips"] == 1
        unknown = client.post("/api/clips/0/score")
        assert unknown.status_code == 404
        for answer in (table, media, saved, heatmap, unknown):
            assert str(served.folder) not in answer.text
    finally:
        away.rename(served.folder)
        client.delete(f"/api/clips/{uploaded}")
    assert client.get(f"/api/clips/{scored}/media").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["start_s=-1", "end_s=nan", "start_s=5&end_s=2", "points=0", "points=9999999", "points=x"],
)
def test_impossible_stretches_are_refused(client: Any, scored: str, query: str) -> None:
    assert client.get(f"/api/clips/{scored}/peaks?{query}").status_code == 422


def test_a_body_of_corrections_has_an_end(client: Any, scored: str) -> None:
    headers = {"content-type": "application/json"}
    body = json.dumps({"version": 0, "events": [], "who": "x" * 9_000_000}).encode()
    answer = client.put(f"/api/clips/{scored}/corrections", content=body, headers=headers)
    assert answer.status_code == 413


def test_a_name_in_the_header_of_a_login_may_be_anything(strict: Served) -> None:
    code = base64.b64encode("\u00e4\u4e16:x".encode()).decode()
    with strict.client() as client:
        answer = client.get("/", headers={"authorization": f"Basic {code}"})
    assert answer.status_code in (401, 429)


def test_slow_headers_do_not_hold_others_up(served: Served, client: Any) -> None:
    waiting = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    for one in waiting:
        one.sendall(b"GET / HTTP/1.1\r\nHost: 127")
    begun = time.monotonic()
    assert client.get("/healthz").status_code == 200
    assert time.monotonic() - begun < 5.0
    for one in waiting:
        one.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "folds"),
        ({"folds": 21}, "folds"),
        ({"folds": "3"}, "folds"),
        ({"cry_labels": "cry"}, "cry_labels"),
        ({"cry_labels": [1]}, "cry_labels"),
        ({"cry_labels": ["x"] * 21}, "cry_labels"),
        ({"subject_pattern": "x" * 201}, "subject_pattern"),
        ({"subject_pattern": "("}, "subject pattern"),
        ([], "object"),
    ],
)
def test_wrong_options_of_a_training_are_one_line_that_names_them(
    client: Any, options: Any, said: str
) -> None:
    answer = client.post("/api/train", json=options)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]

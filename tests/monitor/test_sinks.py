"""Each sink against a real receiver on this machine."""

from __future__ import annotations

import email.utils
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import DOCS
from programs import is_alive
from receivers import Request, make_alert, web_receiver
from waiting import until

from cryvision import layers
from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.alerts import Alert, DeliveryError
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks import open_sinks
from cryvision.monitor.sinks.apprise import Apprise
from cryvision.monitor.sinks.command import Command
from cryvision.monitor.sinks.console import Console
from cryvision.monitor.sinks.http import Ntfy, Webhook
from cryvision.monitor.sinks.mqtt import MqttSettings


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    (tmp_path / "secret").write_text("hunter2\n")
    return Secret(file=tmp_path / "secret")


def genuine(request: Request, secret: bytes) -> bool:
    """Check a request with the function that the documentation gives to receivers."""
    page = (DOCS / "monitor-alerts.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(code, names)
    return bool(names["is_genuine"](request.headers, request.body, secret))


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
@pytest.mark.usefixtures("in_berlin")
def test_the_console_shows_a_line_each_in_local_time(capsys: pytest.CaptureFixture[str]):
    alert = make_alert(message="nursery: lost\nsee \x1b[31mlog")
    Console().deliver(alert)
    Console(json=True).deliver(alert)
    text, record = capsys.readouterr().out.splitlines()
    assert text.startswith("2026-06-15 22:00:00 raised nursery: lost")
    assert "\x1b" not in text + record
    fields = json.loads(record)
    assert fields.pop("type") == "alert"
    assert Alert(**fields) == alert


@pytest.mark.parametrize(
    ("error", "retry"),
    [(BrokenPipeError(32, "Broken pipe"), False), (OSError(28, "No space left on device"), True)],
)
def test_the_console_tries_again_unless_nobody_reads_it(error: OSError, retry: bool):
    def write(line: str) -> None:
        raise error

    with pytest.raises(DeliveryError, match="stdout cannot be written") as caught:
        Console(write=write).deliver(make_alert())
    assert caught.value.retry == retry


def test_a_webhook_gets_signed_json_with_the_id(secret: Secret):
    alert = make_alert()
    with web_receiver() as receiver:
        Webhook("hook", f"{receiver.url}/in?key=1", secret).deliver(alert)
        Webhook("hook", receiver.url).deliver(alert)
    signed, plain = receiver.requests
    assert signed.path == "/in?key=1"
    assert Alert(**signed.json) == alert
    assert signed.headers["Content-Type"] == "application/json"
    assert signed.headers["Idempotency-Key"] == alert.id
    assert genuine(signed, b"hunter2")
    assert not genuine(signed, b"hunter3")
    assert not genuine(Request("/", signed.headers, signed.body + b" "), b"hunter2")
    assert plain.headers["X-Cryvision-Signature"] is None


@pytest.mark.parametrize(
    ("status", "headers", "retry", "retry_after_s"),
    [
        (500, {}, True, 0),
        (503, {"Retry-After": "120"}, True, 120),
        (429, {"Retry-After": "7"}, True, 7),
        (429, {"Retry-After": "soon"}, True, 0),
        (429, {"Retry-After": "\u00b2"}, True, 0),
        (404, {"Retry-After": "7"}, False, 0),
        (401, {}, False, 0),
        (302, {"Location": "http://127.0.0.1:1/"}, False, 0),
        (307, {"Location": "http://127.0.0.1:1/"}, False, 0),
    ],
)
def test_what_an_answer_means(
    status: int, headers: dict[str, str], retry: bool, retry_after_s: float
):
    with web_receiver() as receiver:
        receiver.answer = lambda request: (status, headers)
        with pytest.raises(DeliveryError, match=f"^127.0.0.1 answered {status}$") as raised:
            Webhook("hook", f"{receiver.url}/very-secret").deliver(make_alert())
    assert (raised.value.retry, raised.value.retry_after_s) == (retry, retry_after_s)
    assert len(receiver.requests) == 1


def test_a_date_says_when_to_come_back():
    with web_receiver() as receiver:
        date = email.utils.formatdate(time.time() + 60, usegmt=True)
        receiver.answer = lambda request: (503, {"Retry-After": date})
        with pytest.raises(DeliveryError) as raised:
            Webhook("hook", receiver.url).deliver(make_alert())
    assert 50 < raised.value.retry_after_s <= 60


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_an_alert_to_another_host(status: int, secret: Secret):
    with web_receiver() as other, web_receiver() as receiver:
        receiver.answer = lambda request: (status, {"Location": f"{other.url}/"})
        with pytest.raises(DeliveryError):
            Webhook("hook", receiver.url, secret).deliver(make_alert())
        assert other.requests == []


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch):
    with web_receiver() as proxy, web_receiver() as receiver:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        Webhook("hook", receiver.url).deliver(make_alert())
        assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


def test_a_server_that_is_away_or_silent_is_tried_again():
    with web_receiver() as receiver:
        url = receiver.url
    with pytest.raises(DeliveryError, match=r"^127.0.0.1 was not reached: ") as raised:
        Webhook("hook", url).deliver(make_alert())
    assert raised.value.retry
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hook = Webhook("hook", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)
        with pytest.raises(DeliveryError, match=r"^127.0.0.1 did not answer: ") as raised:
            hook.deliver(make_alert())
    assert raised.value.retry


def test_ntfy_gets_what_its_documentation_asks_for(secret: Secret):
    # https://docs.ntfy.sh/publish/#publish-as-json, and #access-tokens
    with web_receiver() as server:
        phone = Ntfy("phone", server.url, "nursery", secret, "max")
        phone.deliver(make_alert())
        phone.deliver(make_alert(state="cleared"))
        phone.deliver(make_alert(kind="fault"))
        Ntfy("phone", server.url, "nursery").deliver(make_alert())
    raised, cleared, fault, open_to_all = server.requests
    assert raised.path == "/"
    assert raised.headers["Authorization"] == "Bearer hunter2"
    assert raised.json == {
        "topic": "nursery",
        "title": "nursery: crying raised",
        "message": "nursery: crying for 10 s",
        "priority": 5,
        "tags": ["baby"],
    }
    assert (cleared.json["priority"], cleared.json["tags"]) == (2, ["white_check_mark"])
    assert fault.json["tags"] == ["warning"]
    assert open_to_all.headers["Authorization"] is None


def test_a_topic_is_a_secret_too():
    with web_receiver() as server:
        server.answer = lambda request: (403, {})
        phone = Ntfy("phone", server.url, "hunter2")
        with pytest.raises(DeliveryError) as raised:
            phone.deliver(make_alert())
    assert "hunter2" not in f"{phone!r} {raised.value}"


NOTE = """
import json, os, sys
values = {k: v for k, v in os.environ.items() if k.startswith("CRYVISION_")}
json.dump([sys.argv[2:], values], open(sys.argv[1], "w"))
"""


def test_a_command_gets_arguments_and_environment_and_no_shell(tmp_path: Path):
    alert = make_alert(message="$(touch x); `touch y` {id} \"'", crying_since=None)
    out = tmp_path / "out"
    arguments = ("{message}", "{rule}/{state}", "since {crying_since}", "{seconds}")
    Command("c", (sys.executable, "-c", NOTE, str(out), *arguments), 60).deliver(alert)
    received, variables = json.loads(out.read_text())
    assert received == [alert.message, "crying/raised", "since ", "10"]
    assert variables["CRYVISION_MESSAGE"] == alert.message
    assert variables["CRYVISION_ID"] == alert.id
    assert variables["CRYVISION_CRYING_SINCE"] == ""
    assert not list(Path.cwd().glob("[xy]"))


def test_a_command_that_fails_or_is_missing_is_tried_again():
    failing = Command("c", (sys.executable, "-c", "raise SystemExit(3)"), 60)
    with pytest.raises(DeliveryError, match="ended with status 3") as raised:
        failing.deliver(make_alert())
    assert raised.value.retry
    with pytest.raises(DeliveryError, match="no-such-program cannot be run: No such file"):
        Command("c", ("no-such-program",)).deliver(make_alert())
    with pytest.raises(DeliveryError, match="its arguments cannot be passed on"):
        Command("c", ("echo", "{message}")).deliver(make_alert(message="\0"))


@pytest.mark.skipif(os.name != "posix", reason="processes form groups on POSIX only")
def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path):
    child = f"echo $$ > {tmp_path / 'pid'}; exec sleep 60"
    hanging = Command("c", ("sh", "-c", f"sh -c '{child}' & wait"), 0.8)
    with pytest.raises(DeliveryError, match=r"sh was killed after 0\.8 s"):
        hanging.deliver(make_alert())
    pid = (tmp_path / "pid").read_text().strip()
    until(lambda: not is_alive(pid), "its end")


def test_apprise_reaches_its_services(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    place = tmp_path / "url"
    with web_receiver() as server:
        place.write_text(f"json://me:hunter2@127.0.0.1:{server.port}/in")
        sink = Apprise("all", Secret(place))
        sink.deliver(make_alert())
        sink.deliver(make_alert(state="cleared"))
        server.answer = lambda request: (500, {})
        with pytest.raises(DeliveryError, match="Apprise could not notify") as raised:
            sink.deliver(make_alert())
        assert raised.value.retry
    first, second, _ = (request.json for request in server.requests)
    assert first["title"] == "nursery: crying raised"
    assert first["message"] == "nursery: crying for 10 s"
    assert (first["type"], second["type"]) == ("warning", "success")
    place.write_text("nonsense://hunter2")
    with pytest.raises(CryvisionError, match="a URL that Apprise knows") as refused:
        sink.deliver(make_alert())
    assert "hunter2" not in f"{caplog.text} {sink!r} {refused.value}"


@pytest.mark.parametrize(
    "settings", [MqttSettings("home", "h"), Apprise("all", Secret(variable="NONE"))]
)
def test_a_sink_without_its_library_says_so_with_the_remedy(
    settings: MqttSettings | Apprise, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(layers, "find_spec", lambda name: None)
    with pytest.raises(CryvisionError) as raised:
        open_sinks([settings], [])
    assert str(raised.value) == (
        f"the sink {settings.name} needs apprise, which is not installed; "
        "install it with: python -m pip install 'cryvision[live]'"
    )


def test_the_room_needs_no_optional_library():
    code = (
        "import sys\n"
        "for name in ('apprise', 'paho', 'sounddevice', 'tensorflow'): sys.modules[name] = None\n"
        "import cryvision.monitor.config, cryvision.monitor.alerting.outbox\n"
        "from cryvision.monitor.sinks import Console, open_sinks\n"
        "assert set(open_sinks([Console()], [])) == {'console'}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

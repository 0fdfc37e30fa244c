"""The configuration file: what it takes, and the one line for what it does not."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from pages import ROOT

from cryvision.errors import ConfigError
from cryvision.monitor.alerting.alerts import DEFAULT_RULES, FaultRule
from cryvision.monitor.alerting.crying_rules import SustainedCrying, TotalCrying
from cryvision.monitor.alerting.quiet_hours import QuietHours
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.config import RecordingSettings, SourceSettings, load_config
from cryvision.monitor.sinks import open_sinks
from cryvision.monitor.sinks.apprise import Apprise
from cryvision.monitor.sinks.command import Command
from cryvision.monitor.sinks.console import Console
from cryvision.monitor.sinks.http import Ntfy, Webhook
from cryvision.monitor.sinks.mqtt import MqttSettings

EXAMPLE = ROOT / "examples" / "live.toml"
SOURCE = '[[source]]\nname = "nursery"\nkind = "microphone"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "live.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_has_every_setting():
    config = load_config(EXAMPLE)
    folder = EXAMPLE.parent
    assert config.outbox == folder / "live.outbox.sqlite3"
    assert config.metrics_port == 9273
    assert config.sources == (
        SourceSettings("nursery", "microphone"),
        SourceSettings("cot", "rtsp", "rtsp://127.0.0.1:8554/cot"),
    )
    assert config.rules == (
        SustainedCrying("crying", 15, 5, 60, 60),
        TotalCrying("restless", 5, 30, sinks=("log", "home")),
        FaultRule("source", 60),
    )
    assert config.quiet_hours == QuietHours(time(9), time(17, 30), "Europe/Berlin", ("log", "home"))
    assert config.sinks == (
        Console("log", json=True),
        MqttSettings(
            "home",
            "homeassistant.local",
            username="cryvision",
            password=Secret(variable="CRYVISION_MQTT_PASSWORD"),
        ),
        Ntfy(
            "phone",
            "https://ntfy.example.org",
            "nursery-3f9c1b7a",
            Secret(folder / "ntfy.token"),
        ),
        Webhook(
            "hook",
            "https://example.org/hooks/crying",
            Secret(variable="CRYVISION_WEBHOOK_SECRET"),
        ),
        Command("lamp", ("notify-send", "--urgency=critical", "{source}", "{message}")),
        Apprise("everybody", Secret(folder / "apprise.url")),
    )
    assert config.recording == RecordingSettings(folder / "recordings", 2, 14, True)


def test_a_source_is_enough(tmp_path: Path):
    path = write(tmp_path, SOURCE)
    config = load_config(path)
    assert config.rules == DEFAULT_RULES
    assert config.sinks == (Console(),)
    assert (config.quiet_hours, config.recording, config.metrics_port) == (None, None, None)
    assert config.outbox == tmp_path / "live.outbox.sqlite3"


def test_cameras_and_files_are_sources_too(tmp_path: Path):
    text = (
        '[[source]]\nname = "cot"\nkind = "camera"\nvalue = 1\nmicrophone = "USB"\n'
        '[[source]]\nname = "night"\nkind = "file"\nvalue = "night.wav"\n'
    )
    assert load_config(write(tmp_path, text)).sources == (
        SourceSettings("cot", "camera", "1", microphone="USB"),
        SourceSettings("night", "file", str(tmp_path / "night.wav")),
    )


def test_the_address_of_a_camera_can_be_kept_out_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CAMERA", "rtsp://me:hunter2@camera/1")
    text = '[[source]]\nname = "cot"\nkind = "rtsp"\nvalue_env = "CAMERA"\n'
    (source,) = load_config(write(tmp_path, text)).sources
    assert source.value == "rtsp://me:hunter2@camera/1"
    assert "hunter2" not in repr(source)


REFUSED = {
    "": "source must be there: at least one table [[source]]",
    "[[source]]\nname = 'a'\n": (
        "source 1.kind must be there: one of microphone, camera, rtsp, file"
    ),
    "[[source]]\nname = 'a'\nkind = 'radio'": (
        "source 1.kind must be one of microphone, camera, rtsp, file; got 'radio'"
    ),
    "[[source]]\nname = 'a/b'\nkind = 'microphone'": (
        "source 1.name must be up to 64 letters, digits, - and _, a letter or digit first; "
        "got 'a/b'"
    ),
    SOURCE + SOURCE: "source 2.name must be a name that no other source has; got 'nursery'",
    SOURCE + "volume = 3": "source 1.volume is unknown; allowed are name, kind, value",
    SOURCE + "[[rule]]\nname = 'r'\nkind = 'crying'\nafter_s = '9'": (
        "rule 1.after_s must be a number from 0 to 86400; got '9'"
    ),
    SOURCE + "[[rule]]\nname = 'r'\nkind = 'crying'\nafter_s = true": (
        "rule 1.after_s must be a number from 0 to 86400; got True"
    ),
    SOURCE + "[[rule]]\nname = 'r'\nkind = 'crying'\nafter_s = nan": (
        "rule 1.after_s must be a number from 0 to 86400; got nan"
    ),
    SOURCE + "[[rule]]\nname = 'r'\nkind = 'total'\ncrying_minutes = 9\nwithin_minutes = 8": (
        "rule 1.crying_minutes must be a number from 0.1 to 8; got 9"
    ),
    SOURCE + "[[rule]]\nname = 'r'\nkind = 'fault'\nsinks = ['phone']": (
        "rule r.sinks must name sinks of the file: console; got 'phone'"
    ),
    SOURCE + "[quiet_hours]\nstart = '22:00'\nend = '24:30'\nzone = 'UTC'": (
        "quiet_hours.end must be a time of day such as 22:30; got '24:30'"
    ),
    SOURCE + "[quiet_hours]\nstart = '22:00+02:00'\nend = '06:00'\nzone = 'UTC'": (
        "quiet_hours.start must be a time of day without an offset, such as 22:30; "
        "got '22:00+02:00'"
    ),
    SOURCE + "[quiet_hours]\nstart = '22:00'\nend = '22:00'\nzone = 'UTC'": (
        "quiet_hours.end must be another time than start; got '22:00'"
    ),
    SOURCE + "[quiet_hours]\nstart = 22:00:00\nend = 06:00:00\nzone = 'Mars/Base'": (
        "quiet_hours.zone must be a time zone such as Europe/Berlin; got 'Mars/Base'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'fax'": (
        "sink 1.kind must be one of console, command, webhook, mqtt, ntfy, apprise; got 'fax'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'command'\ncommand = 'rm -rf'": (
        "sink 1.command must be a list of strings, not empty; got 'rm -rf'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'command'\ncommand = ['{rule}']": (
        "sink 1.command must be a list whose first text names a program, without {fields}; "
        "got ['{rule}']"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'command'\ncommand = ['say', '{mesage}']": (
        "sink 1.command must be strings with no fields but id, rule, source, state, kind, time, "
        "crying_since, seconds, message; got ['say', '{mesage}']"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'mqtt'\nhost = 'h'\nversion = '4'": (
        "sink 1.version must be one of 5, 3.1.1; got '4'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'mqtt'\nhost = 'h'\ntopic = 'a/#'": (
        "sink 1.topic must be letters, digits, -, _ and / between them; got 'a/#'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'mqtt'\nhost = 'h'\npassword_env = 'P'": (
        "sink 1.username must be there: the user whose password there is"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'mqtt'\nhost = 'h'\nca_file = 'ca.pem'": (
        "sink 1.ca_file must be left out without tls = true; got 'ca.pem'"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'mqtt'\nhost = 'h'\ntls = true\nkey_file = 'k.pem'": (
        "sink 1.certificate_file must be there: the certificate whose key there is"
    ),
    SOURCE + "[[sink]]\nname = 's'\nkind = 'apprise'": (
        "sink 1.url_file must be there: the file that holds it, or url_env a variable"
    ),
    SOURCE + "[recording]\nfolder = 'r'\nmax_gb = 0": (
        "recording.max_gb must be a number from 0.001 to 1e+06; got 0"
    ),
    SOURCE + "[recording]\nmax_gb = 1": (
        "recording.folder must be there: a string of one line, not empty"
    ),
    "metrics_port = 70000\n" + SOURCE: (
        "metrics_port must be a whole number from 1 to 65535; got 70000"
    ),
    "colour = 1\n" + SOURCE: (
        "colour is unknown; allowed are source, rule, sink, quiet_hours, recording, "
        "metrics_port, outbox"
    ),
    "source = 3": "source must be written as tables [[source]]",
    "recording = 3\n" + SOURCE: "recording must be a table [recording]",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_one_line_with_file_key_and_what_is_allowed(tmp_path: Path, text: str):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert str(raised.value) == f"{path}: {REFUSED[text]}"


def test_a_file_that_is_missing_or_no_toml_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"live.toml: must be a readable file: No such file"):
        load_config(tmp_path / "live.toml")
    with pytest.raises(ConfigError, match=r"live.toml: must be TOML: Expected"):
        load_config(write(tmp_path, "sound"))
    (tmp_path / "live.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"live.toml: must be TOML"):
        load_config(tmp_path / "live.toml")


HOSTILE = {
    "a = " + "[" * 5000 + "]" * 5000: "must be TOML: it is nested too deeply",
    f"metrics_port = {'9' * 5000}": "must be TOML: ",
    f"[[source]]\nname = '{'x' * 100_000}'": "source 1.name must be up to 64 letters",
    f"outbox = '~no-such-user/outbox'\n{SOURCE}": "outbox must be a path below the home",
    f"{SOURCE}[[sink]]\nname = 's'\nkind = 'webhook'\nurl = 'https://h/\u00f6'": (
        "sink 1.url must be in ASCII"
    ),
}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_file_holds_the_refusal_is_one_short_line(tmp_path: Path, text: str):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    message = str(raised.value).removeprefix(f"{path}: ")
    assert message.startswith(HOSTILE[text])
    assert len(message) < 250
    assert message.isprintable()


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path):
    assert load_config(write(tmp_path, f"\ufeff{SOURCE}")).sources[0].kind == "microphone"


SECRETS = {
    "[[sink]]\nname = 's'\nkind = 'webhook'\nurl = 'https://h/'\nsecret = 'hunter2'": (
        "sink 1.secret must be in a file or the environment: secret_file or secret_env"
    ),
    "[[sink]]\nname = 's'\nkind = 'webhook'\nurl = 'ftp://me:hunter2@h/'": (
        "sink 1.url must be http:// or https://, a host and a path, without a password"
    ),
    "[[sink]]\nname = 's'\nkind = 'webhook'\nurl = 'https://me:hunter2@h/'": (
        "sink 1.url must be http:// or https://, a host and a path, without a password"
    ),
    "[[sink]]\nname = 's'\nkind = 'webhook'\nurl = 'https://h:port/?hunter2'": (
        "sink 1.url must be http:// or https://, a host and a path, without a password"
    ),
    "[[sink]]\nname = 's'\nkind = 'ntfy'\nurl = 'https://h'\ntopic = 'hunter2/'": (
        "sink 1.topic must be up to 64 letters, digits, - and _"
    ),
    "[[source]]\nname = 'b'\nkind = 'rtsp'\nvalue = 'ftp://me:hunter2@h/'": (
        "source 2.value must be the URL of an RTSP, HTTP or RTMP stream, with a host"
    ),
}


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_no_message_repeats_a_secret(tmp_path: Path, text: str):
    path = write(tmp_path, SOURCE + text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert str(raised.value) == f"{path}: {SECRETS[text]}"


def test_secrets_are_read_when_the_sinks_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "secret").write_text("hunter2\nand a remark\n")
    monkeypatch.delenv("SECRET", raising=False)
    in_file = Secret(file=tmp_path / "secret")
    in_variable = Secret(variable="SECRET")
    assert in_file.read() == "hunter2"
    hook = Webhook("hook", "https://h/very-secret", in_file)
    assert "hunter2" not in repr(hook)
    assert "very-secret" not in repr(hook)
    with pytest.raises(ConfigError, match="environment variable SECRET must hold a secret"):
        open_sinks([hook, Ntfy("phone", "https://h", "topic", in_variable)], [])
    monkeypatch.setenv("SECRET", "tk_1")
    assert set(open_sinks([hook, Ntfy("phone", "https://h", "t", in_variable)], [])) == {
        "hook",
        "phone",
    }
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(ConfigError, match="secret: must hold a secret in its first line"):
        in_file.read()
    with pytest.raises(ConfigError, match="none: must hold a secret: No such file"):
        Secret(file=tmp_path / "none").read()

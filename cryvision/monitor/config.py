"""The configuration of ``cryvision live``: a TOML file becomes checked settings."""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryvision.errors import ConfigError
from cryvision.layers import needed
from cryvision.monitor.alerting.alerts import DEFAULT_RULES, FaultRule, Rule
from cryvision.monitor.alerting.crying_rules import SustainedCrying, TotalCrying
from cryvision.monitor.alerting.quiet_hours import QuietHours
from cryvision.monitor.config_table import Table
from cryvision.monitor.sinks import SinkSettings
from cryvision.monitor.sinks.apprise import Apprise
from cryvision.monitor.sinks.command import PLACEHOLDERS, Command, unknown_placeholders
from cryvision.monitor.sinks.console import Console
from cryvision.monitor.sinks.http import PRIORITIES, Ntfy, Webhook
from cryvision.monitor.sinks.mqtt import VERSIONS, MqttSettings
from cryvision.monitor.sources.network import Address

SOURCE_KINDS = ("microphone", "camera", "rtsp", "file")

DAY_S = 86_400

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")

T = TypeVar("T")


@dataclass(frozen=True)
class SourceSettings:
    """Where sound comes from: one of `SOURCE_KINDS`.

    The name is of letters, digits, ``-`` and ``_``: it is part of topics and file names. The value
    is the device of a microphone (None: the default one), index of a camera, URL, or path of a
    file; the microphone that of a camera.
    """

    name: str
    kind: str
    value: str | None = field(default=None, repr=False)
    microphone: str | None = None


@dataclass(frozen=True)
class RecordingSettings:
    """Where the sound of events is kept, and for how long.

    Recordings that are older than ``max_days`` are deleted, and the oldest beyond ``max_gb``. With
    ``mask_speech`` adult speech outside events of crying is silenced.
    """

    folder: Path
    max_gb: float = 1.0
    max_days: float = 7.0
    mask_speech: bool = False


@dataclass(frozen=True)
class LiveConfig:
    """All settings of ``cryvision live``; without ``outbox`` alerts wait in memory."""

    sources: tuple[SourceSettings, ...]
    rules: tuple[Rule, ...] = DEFAULT_RULES
    quiet_hours: QuietHours | None = None
    sinks: tuple[SinkSettings, ...] = (Console(),)
    recording: RecordingSettings | None = None
    metrics_port: int | None = None
    outbox: Path | None = None


def load_config(path: Path) -> LiveConfig:
    """Read and check a configuration file; relative paths in it are relative to its folder.

    A ConfigError is one line with the file, the key and what is allowed.
    """
    table = Table(path, "", _read(path))
    sources = _list(table, "source", _source)
    if not sources:
        table.refuse("source", "at least one table [[source]]")
    rules = _list(table, "rule", _rule) or DEFAULT_RULES
    sinks = _list(table, "sink", _sink) or (Console(),)
    quiet_hours = _optional(table, "quiet_hours", _quiet_hours)
    _check_sink_names(path, rules, quiet_hours, [sink.name for sink in sinks])
    config = LiveConfig(
        sources=sources,
        rules=rules,
        quiet_hours=quiet_hours,
        sinks=sinks,
        recording=_optional(table, "recording", _recording),
        metrics_port=table.whole("metrics_port", 1, 65_535, None),
        outbox=table.file("outbox", path.with_suffix(".outbox.sqlite3")),
    )
    table.end()
    return config


def _read(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        with needed("a configuration file", "tomli", "live"):
            import tomli as tomllib
    try:
        # Some editors on Windows begin each file with a byte order mark.
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: must be a readable file: {error.strerror}") from error
    except ValueError as error:
        # Beside errors of TOML and UTF-8: a number with thousands of digits.
        raise ConfigError(f"{path}: must be TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: must be TOML: it is nested too deeply") from error
    return table


def _list(table: Table, key: str, read: Callable[[Table, str], T]) -> tuple[T, ...]:
    """Read a list of tables with names that differ."""
    values = table.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        table.refuse(key, f"written as tables [[{key}]]", shown=False)
    found = []
    names = set()
    for i, value in enumerate(values, 1):
        one = Table(table.path, f"{key} {i}", value)
        name = one.needed_text("name")
        if not _NAME.fullmatch(name):
            one.refuse("name", "up to 64 letters, digits, - and _, a letter or digit first")
        if name in names:
            one.refuse("name", f"a name that no other {key} has")
        names.add(name)
        found.append(read(one, name))
        one.end()
    return tuple(found)


def _optional(table: Table, key: str, read: Callable[[Table], T]) -> T | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        table.refuse(key, f"a table [{key}]", shown=False)
    one = Table(table.path, key, value)
    settings = read(one)
    one.end()
    return settings


def _source(table: Table, name: str) -> SourceSettings:
    kind = table.choice("kind", SOURCE_KINDS)
    if kind == "rtsp":
        # The URL often holds the password of the camera.
        key = next((k for k in ("value_file", "value_env") if table.has(k)), "value")
        secret = None if key == "value" else table.secret("value")
        value = table.needed_text("value", shown=False) if secret is None else secret.read()
        try:
            Address.parse(value)
        except ConfigError:
            table.refuse(key, "the URL of an RTSP, HTTP or RTMP stream, with a host", shown=False)
        return SourceSettings(name, kind, value)
    if kind == "camera":
        index = table.whole("value", 0, 99, 0)
        return SourceSettings(name, kind, str(index), microphone=table.text("microphone", None))
    if kind == "file":
        return SourceSettings(name, kind, str(table.needed_file("value")))
    return SourceSettings(name, kind, table.text("value", None))


def _rule(table: Table, name: str) -> Rule:
    kind = table.choice("kind", ("crying", "total", "fault"))
    sinks = table.texts("sinks")
    if kind == "fault":
        return FaultRule(name, sinks=sinks, **table.numbers(FaultRule, after_s=(1, DAY_S)))
    calm = table.numbers(SustainedCrying, release_s=(1, DAY_S), rearm_s=(0, DAY_S))
    if kind == "crying":
        lasting = table.numbers(SustainedCrying, after_s=(0, DAY_S), hold_s=(0, 3600))
        return SustainedCrying(name, sinks=sinks, **lasting, **calm)
    within = table.number("within_minutes", 1, 1440, TotalCrying.within_minutes)
    minutes = table.number("crying_minutes", 0.1, within, TotalCrying.crying_minutes)
    return TotalCrying(name, minutes, within, sinks=sinks, **calm)


def _quiet_hours(table: Table) -> QuietHours:
    start, end = table.clock("start"), table.clock("end")
    if start == end:
        table.refuse("end", "another time than start")
    zone = table.needed_text("zone")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        table.refuse("zone", "a time zone such as Europe/Berlin")
    return QuietHours(start, end, zone, table.texts("sinks"))


def _recording(table: Table) -> RecordingSettings:
    folder = table.needed_file("folder")
    limits = table.numbers(RecordingSettings, max_gb=(0.001, 1e6), max_days=(0.01, 36_500))
    return RecordingSettings(folder, mask_speech=table.flag("mask_speech"), **limits)


def _sink(table: Table, name: str) -> SinkSettings:
    return _SINKS[table.choice("kind", _SINKS)](table, name)


def _console(table: Table, name: str) -> Console:
    return Console(name, table.choice("format", ("text", "json"), "text") == "json")


def _command(table: Table, name: str) -> Command:
    command = table.texts("command", needed=True)
    if "{" in command[0] or not command[0]:
        table.refuse("command", "a list whose first text names a program, without {fields}")
    for argument in command:
        if unknown_placeholders(argument):
            table.refuse("command", f"strings with no fields but {', '.join(PLACEHOLDERS)}")
    return Command(name, command, _timeout(table, Command.timeout_s))


def _webhook(table: Table, name: str) -> Webhook:
    return Webhook(name, _url(table), table.secret("secret"), _timeout(table, Webhook.timeout_s))


def _mqtt(table: Table, name: str) -> MqttSettings:
    username = table.text("username", None)
    password = table.secret("password")
    if password is not None and username is None:
        table.refuse("username", "the user whose password there is")
    tls = table.flag("tls")
    files = {key: table.file(key, None) for key in ("ca_file", "certificate_file", "key_file")}
    for key, file in files.items():
        if file is not None and not tls:
            table.refuse(key, "left out without tls = true")
    if files["key_file"] is not None and files["certificate_file"] is None:
        table.refuse("certificate_file", "the certificate whose key there is")
    topic = table.text("topic", MqttSettings.topic)
    if not _TOPIC.fullmatch(topic):
        table.refuse("topic", "letters, digits, -, _ and / between them")
    prefix = table.get("discovery_prefix")
    if prefix is not None and (not isinstance(prefix, str) or not _TOPIC.fullmatch(prefix or "x")):
        table.refuse("discovery_prefix", "a topic, or empty for no discovery")
    return MqttSettings(
        name=name,
        host=table.needed_text("host"),
        port=table.whole("port", 1, 65_535, 8883 if tls else 1883),
        topic=topic,
        discovery_prefix=MqttSettings.discovery_prefix if prefix is None else prefix,
        version=table.choice("version", VERSIONS, MqttSettings.version),
        username=username,
        password=password,
        tls=tls,
        **files,
    )


def _ntfy(table: Table, name: str) -> Ntfy:
    topic = table.needed_text("topic", shown=False)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", topic):
        table.refuse("topic", "up to 64 letters, digits, - and _", shown=False)
    return Ntfy(
        name=name,
        url=_url(table),
        topic=topic,
        token=table.secret("token"),
        priority=table.choice("priority", PRIORITIES, Ntfy.priority),
        timeout_s=_timeout(table, Ntfy.timeout_s),
    )


def _apprise(table: Table, name: str) -> Apprise:
    return Apprise(name, table.needed_secret("url"))


_SINKS: dict[str, Callable[[Table, str], SinkSettings]] = {
    "console": _console,
    "command": _command,
    "webhook": _webhook,
    "mqtt": _mqtt,
    "ntfy": _ntfy,
    "apprise": _apprise,
}


def _url(table: Table) -> str:
    url = table.needed_text("url", shown=False)
    try:
        parts = urlsplit(url)
        # A port that is no number is found out only when it is asked for.
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username is not None or " " in url:
        table.refuse(
            "url", "http:// or https://, a host and a path, without a password", shown=False
        )
    if not url.isascii():
        table.refuse("url", "in ASCII, other characters percent-encoded", shown=False)
    return url


def _timeout(table: Table, default: float) -> float:
    return table.number("timeout_s", 0.1, 300, default)


def _check_sink_names(
    path: Path, rules: Sequence[Rule], quiet_hours: QuietHours | None, names: Sequence[str]
) -> None:
    named = [(f"rule {rule.name}", rule.sinks) for rule in rules]
    if quiet_hours is not None:
        named.append(("quiet_hours", quiet_hours.sinks))
    for where, sinks in named:
        for sink in sinks:
            if sink not in names:
                raise ConfigError(
                    f"{path}: {where}.sinks must name sinks of the file: {', '.join(names)}; "
                    f"got {reprlib.repr(sink)}"
                )

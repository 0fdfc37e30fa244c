"""Alerts and the state of sources over MQTT, for Home Assistant and others."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryvision.errors import ConfigError
from cryvision.monitor.alerting.alerts import Alert, DeliveryError
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks.home_assistant import OFFLINE, ONLINE, discovery, discovery_topic

_log = logging.getLogger(__name__)

VERSIONS = ("5", "3.1.1")

STATE_SECONDS = 10.0
"""Probability, level and minutes are sent this often; what is yes or no, when it changes."""

_ACKNOWLEDGED_S = 10.0
_KEPT_ACKNOWLEDGED = 100
_RECONNECT_S = (1, 60)


@dataclass(frozen=True)
class MqttSettings:
    """Where the broker is, and how to speak to it in one of `VERSIONS` of MQTT.

    All topics begin with ``topic``; two monitors at one broker need two. Where ``discovery_prefix``
    is empty, nothing is announced to Home Assistant. ``ca_file`` is who is trusted in place of the
    system's authorities; the other files are a certificate of one's own.
    """

    name: str
    host: str
    port: int = 1883
    topic: str = "cryvision"
    discovery_prefix: str = "homeassistant"
    version: str = "5"
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True)
class SourceState:
    """What is known of a source now; None where it is not.

    ``alert`` and ``problem`` say whether an alert about crying, or about the source, is raised. The
    probability is from 0 to 1; ``minutes_today`` are of crying since midnight, local time.
    """

    crying: bool | None = None
    alert: bool = False
    problem: bool = False
    probability: float | None = None
    level_dbfs: float | None = None
    minutes_today: float = 0.0

    def to_json(self) -> str:
        # It brings numpy, which delivering alerts does not need.
        from cryvision.outputs.wording import rounded

        percent = None if self.probability is None else 100 * self.probability
        return json.dumps(
            {
                "crying": None if self.crying is None else _on_off(self.crying),
                "alert": _on_off(self.alert),
                "problem": _on_off(self.problem),
                "probability": rounded(percent, 1),
                "level_dbfs": rounded(self.level_dbfs, 1),
                "minutes_today": rounded(self.minutes_today, 2),
            },
            allow_nan=False,
        )

    def differs(self, other: SourceState) -> bool:
        """Whether something that is yes or no changed."""
        mine = (self.crying, self.alert, self.problem)
        return mine != (other.crying, other.alert, other.problem)


class Mqtt:
    """A connection to a broker, kept up by a thread of its own.

    Topics below that of the settings: ``status`` (online, or offline by last will),
    ``<source>/state`` (retained), ``<source>/alert`` (each alert once, not retained, since it is no
    state). All have QoS 1. The names of all sources are for Home Assistant.
    """

    def __init__(self, settings: MqttSettings, sources: Sequence[str]) -> None:
        self._settings = settings
        self._sources = tuple(sources)
        self._changed = threading.Condition()
        self._states: dict[str, SourceState] = {}
        self._sent: dict[str, tuple[float, SourceState]] = {}
        self._acknowledged: dict[int, str] = {}
        self._under_way: dict[str, int] = {}  # one at the most
        self._client = self._make_client()
        self._client.connect_async(settings.host, settings.port)
        self._client.loop_start()

    def _make_client(self) -> Any:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        settings = self._settings
        newest = settings.version == "5"
        version = MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        if settings.username is not None:
            password = settings.password.read() if settings.password is not None else None
            client.username_pw_set(settings.username, password)
        if settings.tls:
            client.tls_set_context(_tls_context(settings))
        client.will_set(self._topic("status"), OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def deliver(self, alert: Alert) -> None:
        """Publish the alert, and wait until the broker has it."""
        # An attempt that the broker did not acknowledge in time is still under way in paho, which
        # sends it again itself: a second one would come twice.
        mid = self._under_way.get(alert.id)
        if mid is None:
            if not self._client.is_connected():
                raise DeliveryError(f"{self._settings.host} is not connected")
            topic = self._topic(f"{alert.source}/alert")
            mid = self._client.publish(topic, alert.to_json(), qos=1).mid
        with self._changed:
            self._under_way = {alert.id: mid}
            if not self._changed.wait_for(lambda: mid in self._acknowledged, _ACKNOWLEDGED_S):
                raise DeliveryError(f"{self._settings.host} did not acknowledge")
            failure = self._acknowledged.pop(mid)
            self._under_way = {}
        if failure:
            raise DeliveryError(f"{self._settings.host} refused: {failure}")

    def update(self, source: str, state: SourceState) -> None:
        """Take the state of a source; send it if it is time. Never waits.

        While there is no connection the newest state is kept, and sent with the next one.
        """
        now = time.monotonic()
        with self._changed:
            self._states[source] = state
            sent = self._sent.get(source)
            due = sent is None or now - sent[0] >= STATE_SECONDS or state.differs(sent[1])
            if not due or not self._client.is_connected():
                return
            self._sent[source] = (now, state)
        self._publish(self._topic(f"{source}/state"), state.to_json())

    def close(self) -> None:
        if self._client.is_connected():
            goodbye = self._client.publish(self._topic("status"), OFFLINE, qos=1, retain=True)
            with self._changed:
                self._changed.wait_for(lambda: goodbye.mid in self._acknowledged, 1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _topic(self, name: str) -> str:
        return f"{self._settings.topic}/{name}"

    def _publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1, retain=True)

    def _announce(self) -> None:
        """Tell Home Assistant of all sources, and their newest states."""
        prefix, topic = self._settings.discovery_prefix, self._settings.topic
        for source in self._sources if prefix else ():
            payload = json.dumps(discovery(topic, source))
            self._publish(discovery_topic(prefix, topic, source), payload)
        with self._changed:
            states = {source: self._states.get(source, SourceState()) for source in self._sources}
            self._sent.update((s, (time.monotonic(), state)) for s, state in states.items())
        for source, state in states.items():
            self._publish(self._topic(f"{source}/state"), state.to_json())

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        host = self._settings.host
        if reason.is_failure:
            _log.warning("%s: the broker at %s refuses: %s", self._settings.name, host, reason)
            return
        _log.info("%s: connected to %s", self._settings.name, host)
        if self._settings.discovery_prefix:
            client.subscribe(f"{self._settings.discovery_prefix}/status", qos=1)
        self._announce()
        self._publish(self._topic("status"), ONLINE)

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        _log.warning("%s: no connection to %s", self._settings.name, self._settings.host)

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any
    ) -> None:
        if reason.is_failure:
            _log.warning("%s: %s is gone: %s", self._settings.name, self._settings.host, reason)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if message.payload == ONLINE.encode():
            self._announce()

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _more: Any) -> None:
        with self._changed:
            self._acknowledged[mid] = str(reason) if reason.is_failure else ""
            # Only deliveries look at theirs: states and announcements need no answer.
            for old in list(self._acknowledged)[:-_KEPT_ACKNOWLEDGED]:
                if old not in self._under_way.values():
                    del self._acknowledged[old]
            self._changed.notify_all()


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    path = settings.ca_file
    try:
        context = ssl.create_default_context(cafile=path)
        if settings.certificate_file is not None:
            path = settings.certificate_file
            context.load_cert_chain(path, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: must be a readable certificate: {error.strerror}") from None
    return context


def _on_off(value: bool) -> str:
    return "ON" if value else "OFF"

"""MQTT: what brokers and Home Assistant get, with and without interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from brokers import Relay, Watcher, amqtt, find_mosquitto, free_port, mosquitto, watcher
from pages import ROOT
from receivers import make_alert
from waiting import until

from cryvision.errors import ConfigError
from cryvision.monitor.alerting import outbox as outboxes
from cryvision.monitor.alerting.alerts import Alert, DeliveryError
from cryvision.monitor.alerting.outbox import Outbox
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks.home_assistant import discovery, discovery_topic
from cryvision.monitor.sinks.mqtt import Mqtt, MqttSettings, SourceState

HERE = Path(__file__).parent
CRYING = SourceState(True, True, False, 0.934, -23.46, 12.5)
CONFIG = "homeassistant/device/cryvision_nursery/config"


@pytest.fixture(autouse=True)
def reconnect_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryvision.monitor.sinks.mqtt._RECONNECT_S", (0.1, 0.1))


@contextmanager
def connected(port: int, version: str = "3.1.1", **settings: Any) -> Iterator[Mqtt]:
    settings = {"host": "127.0.0.1", "port": port, "version": version, **settings}
    with closing(Mqtt(MqttSettings("home", **settings), ["nursery"])) as sink:
        until(sink._client.is_connected, "the connection")
        yield sink


class Broker:
    """A kind of broker, at one port, that can be started again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.version = "5" if kind == "mosquitto" else "3.1.1"
        self.port = free_port()
        self._kind = kind
        self._folder = folder / "broker"

    def run(self) -> AbstractContextManager[None]:
        return amqtt(self.port) if self._kind == "amqtt" else mosquitto(self.port, self._folder)


@pytest.fixture(params=["amqtt", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    if request.param == "mosquitto":
        find_mosquitto()  # before a test opens what a skip would leave open
    return Broker(request.param, tmp_path)


def test_without_a_prefix_nothing_is_announced(broker: Broker):
    with broker.run(), watcher(broker.port) as home:
        with connected(broker.port, broker.version, discovery_prefix=""):
            until(lambda: home.last("cryvision/nursery/state") is not None, "the state")
        assert home.last(CONFIG) is None


def test_home_assistant_gets_devices_states_and_availability(broker: Broker):
    with broker.run(), watcher(broker.port) as home:
        with connected(broker.port, broker.version) as sink:
            until(lambda: home.last("cryvision/status") == "online", "the birth")
            assert home.last(CONFIG) == discovery("cryvision", "nursery")
            assert home.last("cryvision/nursery/state")["crying"] is None
            sink.update("nursery", CRYING)
            until(lambda: home.last("cryvision/nursery/state")["crying"] == "ON", "the state")
            assert home.last("cryvision/nursery/state") == {
                "crying": "ON",
                "alert": "ON",
                "problem": "OFF",
                "probability": 93.4,
                "level_dbfs": -23.5,
                "minutes_today": 12.5,
            }
        until(lambda: home.last("cryvision/status") == "offline", "the end")


def test_who_comes_later_gets_what_is_retained_but_no_old_alert(broker: Broker):
    with broker.run(), connected(broker.port, broker.version) as sink:
        sink.update("nursery", CRYING)
        sink.deliver(make_alert())
        with watcher(broker.port) as late:
            topics = {"cryvision/status", "cryvision/nursery/state", CONFIG}
            until(lambda: {t for t, _, retained in late.messages if retained} == topics)
            assert late.last("cryvision/nursery/state")["crying"] == "ON"


def test_home_assistant_is_told_again_when_it_starts(broker: Broker):
    with broker.run(), watcher(broker.port) as home, connected(broker.port, broker.version) as sink:
        sink.update("nursery", CRYING)
        until(lambda: len(home.payloads("cryvision/nursery/state")) >= 2)
        before = len(home.payloads(CONFIG))
        home.client.publish("homeassistant/status", "offline", qos=1)
        home.client.publish("homeassistant/status", "online", qos=1)
        until(lambda: len(home.payloads(CONFIG)) == before + 1, "the announcement")
        until(lambda: home.last("cryvision/nursery/state")["crying"] == "ON")


def test_alerts_wait_for_a_broker_and_come_once_and_in_order(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outboxes, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(outboxes, "LONGEST_WAIT_S", 0.2)
    settings = MqttSettings("home", "127.0.0.1", broker.port, version=broker.version)
    sink = Mqtt(settings, ["nursery"])
    outbox = Outbox(tmp_path / "outbox", {"home": sink})
    alerts = [make_alert() for _ in range(6)]

    def arrived(home: Watcher) -> list[str]:
        return [alert["id"] for alert in home.payloads("cryvision/nursery/alert")]

    for alert in alerts[:2]:
        outbox.put(alert, ["home"])
    with broker.run(), watcher(broker.port) as home:
        until(lambda: len(arrived(home)) == 2)
        outbox.put(alerts[2], ["home"])
        until(lambda: outbox.pending == {"home": 0})
        first = arrived(home)
    until(lambda: not sink._client.is_connected(), "the end of the connection")
    sink.update("nursery", CRYING)
    for alert in alerts[3:]:
        outbox.put(alert, ["home"])
    # Who subscribes before the monitor is back gets all: alerts are not retained.
    with broker.run(), watcher(broker.port) as home:
        outbox.close(30)
        until(lambda: len(first + arrived(home)) >= 6)
        assert first + arrived(home) == [alert.id for alert in alerts]
        until(lambda: home.last("cryvision/status") == "offline")
        assert home.last("cryvision/nursery/state")["crying"] == "ON"
        assert home.last(CONFIG)["device"]["name"] == "nursery"


def test_an_alert_whose_acknowledgement_is_lost_is_sent_again_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cryvision.monitor.sinks.mqtt._ACKNOWLEDGED_S", 0.2)
    alert = make_alert()
    with broker.run(), watcher(broker.port) as home, closing(Relay(broker.port)) as relay:
        with connected(relay.port, broker.version) as sink:
            relay.deaf = True
            for _ in range(3):
                with pytest.raises(DeliveryError, match="did not acknowledge"):
                    sink.deliver(alert)
            relay.deaf = False
            relay.cut()
            until(lambda: _delivered(sink, alert), "the acknowledgement")
        until(lambda: len(home.payloads("cryvision/nursery/alert")) == 2)
        # Whoever gets it twice knows it by its id.
        assert {a["id"] for a in home.payloads("cryvision/nursery/alert")} == {alert.id}


def _delivered(sink: Mqtt, alert: Alert) -> bool:
    try:
        sink.deliver(alert)
    except DeliveryError:
        return False
    return True


def test_a_monitor_that_is_killed_is_offline_by_its_last_will(broker: Broker):
    code = (
        "import sys, time; from cryvision.monitor.sinks.mqtt import *; "
        "Mqtt(MqttSettings('home', '127.0.0.1', int(sys.argv[1]), version=sys.argv[2]), ['b']); "
        "time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with broker.run(), watcher(broker.port) as home:
        command = [sys.executable, "-c", code, str(broker.port), broker.version]
        with subprocess.Popen(command, env=environment) as process:
            until(lambda: home.last("cryvision/status") == "online")
            process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        until(lambda: home.last("cryvision/status") == "offline")


def test_states_are_sent_when_they_change_and_else_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broker = Broker("amqtt", tmp_path)
    with broker.run(), watcher(broker.port) as home, connected(broker.port) as sink:
        until(lambda: home.last("cryvision/status") == "online")
        for i in range(200):
            sink.update("nursery", SourceState(i >= 100, probability=i / 200))
        until(lambda: home.last("cryvision/nursery/state")["crying"] == "ON")
        # At the connection nothing was known; then calm, then crying.
        assert [s["crying"] for s in home.payloads("cryvision/nursery/state")] == [
            *(None, "OFF", "ON"),
        ]
        monkeypatch.setattr("cryvision.monitor.sinks.mqtt.STATE_SECONDS", 0.0)
        sink.update("nursery", SourceState(True, probability=0.25))
        until(lambda: home.last("cryvision/nursery/state")["probability"] == 25)


def test_silence_has_no_level():
    assert '"level_dbfs": null' in SourceState(False, level_dbfs=float("-inf")).to_json()


def test_a_password_is_needed_where_the_broker_asks_for_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    port = free_port()
    (tmp_path / "users").write_text("monitor:hunter2\n")
    with mosquitto(port, tmp_path / "broker"):
        pass  # skips where there is none
    subprocess.run(["mosquitto_passwd", "-U", tmp_path / "users"], check=True)
    (tmp_path / "right").write_text("hunter2")
    (tmp_path / "wrong").write_text("hunter3")
    lines = ("allow_anonymous false", f"password_file {tmp_path / 'users'}")
    with mosquitto(port, tmp_path / "broker", *lines):
        with connected(port, "5", username="monitor", password=Secret(tmp_path / "right")) as sink:
            sink.deliver(make_alert())
        settings = MqttSettings(
            "home", "127.0.0.1", port, username="monitor", password=Secret(tmp_path / "wrong")
        )
        with closing(Mqtt(settings, [])) as sink:
            until(lambda: "refuses: Not authorized" in caplog.text)
            with pytest.raises(DeliveryError, match=r"127.0.0.1 is not connected"):
                sink.deliver(make_alert())
    assert "hunter" not in caplog.text


def test_a_broker_with_a_certificate_of_its_own_is_spoken_to(tmp_path: Path):
    port = free_port()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    with mosquitto(port, tmp_path / "broker"):
        pass  # skips where there is none
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    lines = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    with mosquitto(port, tmp_path / "broker", *lines):
        with connected(port, "5", tls=True, ca_file=certificate) as sink:
            sink.deliver(make_alert())
        settings = MqttSettings("home", "127.0.0.1", port, tls=True)
        with closing(Mqtt(settings, [])) as sink, pytest.raises(DeliveryError, match="connected"):
            sink.deliver(make_alert())
    with pytest.raises(ConfigError, match="none: must be a readable certificate: No such file"):
        Mqtt(MqttSettings("home", "127.0.0.1", port, tls=True, ca_file=tmp_path / "none"), [])
    with mosquitto(
        port, tmp_path / "strict", *lines, f"cafile {certificate}", "require_certificate true"
    ):
        own = {"certificate_file": certificate, "key_file": key}
        with connected(port, "5", tls=True, ca_file=certificate, **own) as sink:
            sink.deliver(make_alert())
        settings = MqttSettings("home", "127.0.0.1", port, tls=True, ca_file=certificate)
        with closing(Mqtt(settings, [])) as sink, pytest.raises(DeliveryError, match="connected"):
            sink.deliver(make_alert())


# Keys that Home Assistant 2025.12 documents for MQTT device discovery, and for the two kinds of
# entities: https://www.home-assistant.io/integrations/mqtt/, binary_sensor.mqtt/, sensor.mqtt/.
AVAILABILITY_KEYS = {
    *("availability", "availability_mode", "availability_template", "availability_topic"),
    *("payload_available", "payload_not_available"),
}
DISCOVERY_KEYS = {
    *("device", "components", "origin", "state_topic", "command_topic", "qos", "encoding"),
    *AVAILABILITY_KEYS,
}
DEVICE_KEYS = {
    *("configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model"),
    *("model_id", "name", "serial_number", "suggested_area", "sw_version", "via_device"),
}
ORIGIN_KEYS = {"name", "sw_version", "support_url"}
ENTITY_KEYS = {
    *("platform", "name", "unique_id", "default_entity_id", "device_class", "icon"),
    *("entity_category", "entity_picture", "enabled_by_default", "expire_after", "force_update"),
    *("json_attributes_template", "json_attributes_topic", "qos", "state_topic", "encoding"),
    *("value_template", *AVAILABILITY_KEYS),
}
PLATFORM_KEYS = {
    "binary_sensor": {"off_delay", "payload_off", "payload_on"},
    "sensor": {
        *("last_reset_value_template", "options", "state_class", "suggested_display_precision"),
        "unit_of_measurement",
    },
}
DEVICE_CLASSES = {"binary_sensor": {"sound", "problem"}, "sensor": {"duration"}}
STATE_CLASSES = {"measurement", "total", "total_increasing", "measurement_angle"}


def test_the_announcement_has_documented_keys_only():
    assert discovery_topic("homeassistant", "cryvision", "nursery") == CONFIG
    payload = discovery("house/cryvision", "nursery")
    assert set(payload) <= DISCOVERY_KEYS
    assert set(payload["device"]) <= DEVICE_KEYS
    assert payload["device"]["identifiers"] == ["house_cryvision_nursery"]
    assert {"name"} <= set(payload["origin"]) <= ORIGIN_KEYS
    assert payload["state_topic"] == "house/cryvision/nursery/state"
    assert payload["availability_topic"] == "house/cryvision/status"
    entities = payload["components"]
    assert {name: e.get("device_class") for name, e in entities.items()} == {
        "crying": "sound",
        "alert": None,
        "problem": "problem",
        "probability": None,
        "level_dbfs": None,
        "minutes_today": "duration",
    }
    for name, entity in entities.items():
        platform = entity["platform"]
        assert {"platform", "unique_id", "value_template"} <= set(entity)
        assert set(entity) <= ENTITY_KEYS | PLATFORM_KEYS[platform]
        assert entity.get("device_class") in {None, *DEVICE_CLASSES[platform]}
        assert entity.get("state_class") in {None, *STATE_CLASSES}
        assert entity["value_template"] == f"{{{{ value_json.{name} }}}}"
        assert f'"{name}"' in SourceState().to_json()
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
    other = discovery("house/cryvision", "cot")["components"]
    assert other["crying"]["unique_id"] != entities["crying"]["unique_id"]

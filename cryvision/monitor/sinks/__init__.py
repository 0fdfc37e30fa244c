"""Receivers of alerts: the terminal, a command, a webhook, MQTT, ntfy, Apprise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cryvision.layers import require
from cryvision.monitor.alerting.alerts import Sink
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks.apprise import Apprise
from cryvision.monitor.sinks.command import Command
from cryvision.monitor.sinks.console import Console
from cryvision.monitor.sinks.http import Ntfy, Webhook
from cryvision.monitor.sinks.mqtt import Mqtt, MqttSettings

SinkSettings = Console | Command | Webhook | MqttSettings | Ntfy | Apprise


def open_sinks(settings: Sequence[SinkSettings], sources: Sequence[str]) -> dict[str, Sink]:
    """Give the sinks of a configuration by name; a broker is connected to in the background."""
    for one in settings:
        if isinstance(one, MqttSettings | Apprise):
            require("live", f"the sink {one.name}")
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if isinstance(value, Secret):
                value.read()
    return {
        one.name: Mqtt(one, sources) if isinstance(one, MqttSettings) else one for one in settings
    }

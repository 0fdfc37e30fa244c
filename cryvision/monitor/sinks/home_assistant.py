"""How Home Assistant finds a source over MQTT: one device, and what it shows of it.

The payload is that of device discovery, which Home Assistant has since 2024.11.
"""

from __future__ import annotations

from typing import Any

import cryvision

ONLINE, OFFLINE = "online", "offline"

EXPIRE_SECONDS = 60
"""A state that is older than this is shown as unavailable: the monitor hangs."""

_ENTITIES: dict[str, dict[str, Any]] = {
    "crying": {"platform": "binary_sensor", "name": "Crying", "device_class": "sound"},
    "alert": {"platform": "binary_sensor", "name": "Crying alert", "icon": "mdi:baby-face"},
    "problem": {"platform": "binary_sensor", "name": "Problem", "device_class": "problem"},
    "probability": {
        "platform": "sensor",
        "name": "Cry probability",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "suggested_display_precision": 0,
        "icon": "mdi:percent",
    },
    # Home Assistant's device class for sound takes dB and dBA alone, which are about air pressure.
    "level_dbfs": {
        "platform": "sensor",
        "name": "Level",
        "unit_of_measurement": "dBFS",
        "state_class": "measurement",
        "suggested_display_precision": 0,
        "icon": "mdi:volume-high",
    },
    "minutes_today": {
        "platform": "sensor",
        "name": "Crying today",
        "device_class": "duration",
        "unit_of_measurement": "min",
        "state_class": "total_increasing",
        "suggested_display_precision": 1,
    },
}


def discovery_topic(prefix: str, topic: str, source: str) -> str:
    return f"{prefix}/device/{device_id(topic, source)}/config"


def discovery(topic: str, source: str) -> dict[str, Any]:
    """Describe a source for Home Assistant: the payload, for JSON.

    ``topic`` is what all topics of this monitor begin with.
    """
    device = device_id(topic, source)
    components = {
        name: {
            **entity,
            "unique_id": f"{device}_{name}",
            "expire_after": EXPIRE_SECONDS,
            "value_template": f"{{{{ value_json.{name} }}}}",
        }
        for name, entity in _ENTITIES.items()
    }
    components["problem"]["entity_category"] = "diagnostic"
    return {
        "device": {
            "identifiers": [device],
            "name": source,
            "manufacturer": "cryvision",
            "model": "Cry monitor",
            "sw_version": cryvision.__version__,
        },
        "origin": {"name": "cryvision", "sw_version": cryvision.__version__},
        "components": components,
        "state_topic": f"{topic}/{source}/state",
        "availability_topic": f"{topic}/status",
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "qos": 1,
    }


def device_id(topic: str, source: str) -> str:
    """Return a name for a source that no other device has."""
    return f"{topic}_{source}".replace("/", "_")

"""The way of an alert: from what is observed, by the rules of a file, to its receivers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from receivers import make_alert, web_receiver

from cryvision.monitor.alerting.alerts import AlertMonitor
from cryvision.monitor.alerting.dispatch import Alerting
from cryvision.monitor.alerting.outbox import Outbox
from cryvision.monitor.alerting.quiet_hours import AlertRouter
from cryvision.monitor.config import load_config
from cryvision.monitor.health import Health
from cryvision.monitor.sinks import open_sinks

SETTINGS = """
[[source]]
name = "nursery"
kind = "microphone"
[[rule]]
name = "crying"
kind = "crying"
[[rule]]
name = "restless"
kind = "total"
crying_minutes = 1
within_minutes = 10
sinks = ["diary"]
[quiet_hours]
start = "22:00"
end = "06:00"
zone = "Europe/Berlin"
sinks = ["diary"]
[[sink]]
name = "phone"
kind = "webhook"
url = "{phone}"
[[sink]]
name = "diary"
kind = "webhook"
url = "{diary}"
"""


def test_an_evening_of_crying_reaches_those_it_should(tmp_path: Path):
    zone = ZoneInfo("Europe/Berlin")
    with web_receiver() as phone, web_receiver() as diary:
        path = tmp_path / "live.toml"
        path.write_text(SETTINGS.format(phone=phone.url, diary=diary.url))
        config = load_config(path)
        sinks = open_sinks(config.sinks, [source.name for source in config.sources])
        router = AlertRouter(
            list(sinks), {rule.name: rule.sinks for rule in config.rules}, config.quiet_hours
        )
        monitor = AlertMonitor("nursery", config.rules)
        outbox = Outbox(config.outbox, sinks)
        for hour in (21, 22):
            begin = datetime(2026, 6, 15, hour, tzinfo=zone).timestamp()
            for i in range(900):
                for alert in monitor.update(begin + i, i < 90):
                    outbox.put(alert, router.sinks(alert))
        outbox.close(30)
        evening = ["crying raised", "restless raised", "crying cleared", "restless cleared"]
        assert [_what(r.json) for r in phone.requests] == [evening[0], evening[2]]
        assert [_what(r.json) for r in diary.requests] == evening * 2


def test_an_alert_that_was_raised_when_the_monitor_ended_is_cleared_by_the_next(tmp_path: Path):
    crying, total = make_alert(), make_alert(rule="total")
    over = make_alert(rule="total", state="cleared")
    with web_receiver() as phone, web_receiver() as diary:
        path = tmp_path / "live.toml"
        path.write_text(SETTINGS.format(phone=phone.url, diary=diary.url))
        config = load_config(path)
        outbox = Outbox(config.outbox, open_sinks(config.sinks, ["nursery"]))
        for alert in (crying, total, over):
            outbox.put(alert, ["phone"] if alert is crying else ["phone", "diary"])
        outbox.close(30)
        for _ in range(2):  # what was cleared once stays so
            Alerting(config, Health(["nursery"])).close()
        assert diary.ids == [total.id, over.id]
        assert phone.ids[:-1] == [crying.id, total.id, over.id]
        last = phone.requests[-1].json
        assert _what(last) == "crying cleared"
        assert last["id"] != crying.id
        assert last["time"] > crying.time
        assert "not known" in last["message"]


def _what(alert: dict[str, str]) -> str:
    return f"{alert['rule']} {alert['state']}"

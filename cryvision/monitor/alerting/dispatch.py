"""From observations to alerts on their way: rules, quiet hours, the outbox and the sinks."""

from __future__ import annotations

from cryvision.monitor.alerting.alerts import AlertMonitor, cleared_at_start
from cryvision.monitor.alerting.outbox import Outbox
from cryvision.monitor.alerting.quiet_hours import AlertRouter
from cryvision.monitor.config import LiveConfig
from cryvision.monitor.health import Health
from cryvision.monitor.session import Observation
from cryvision.monitor.sinks import open_sinks
from cryvision.monitor.sinks.mqtt import Mqtt, SourceState

CLOSE_SECONDS = 5.0
"""How long alerts that wait are still delivered when all is over; what is left stays on disk."""


class Alerting:
    """Watches the rules for every source, and sends alerts and states.

    ``health`` counts the alerts, and says how much crying there was today. What an earlier process
    raised is cleared, so that nobody is left with an alert that never ends.
    """

    def __init__(self, config: LiveConfig, health: Health) -> None:
        self._health = health
        sources = [source.name for source in config.sources]
        self._rules = {name: AlertMonitor(name, config.rules) for name in sources}
        opened = open_sinks(config.sinks, sources)
        own = {rule.name: rule.sinks for rule in config.rules}
        self._router = AlertRouter(list(opened), own, config.quiet_hours)
        self._brokers = [sink for sink in opened.values() if isinstance(sink, Mqtt)]
        self._outbox = Outbox(config.outbox, opened)
        for alert, names in self._outbox.raised.items():
            self._outbox.put(cleared_at_start(alert), names)

    def observe(self, observation: Observation) -> None:
        monitor = self._rules[observation.source]
        for alert in monitor.observe(observation):
            self._health.note(alert)
            self._outbox.put(alert, self._router.sinks(alert))
        if self._brokers:
            now = SourceState(
                crying=observation.crying,
                alert=monitor.crying_raised,
                problem=monitor.fault_raised,
                probability=observation.state.probability,
                level_dbfs=observation.state.level_dbfs,
                minutes_today=self._health.minutes_today(observation.source),
            )
            for broker in self._brokers:
                broker.update(observation.source, now)

    def close(self) -> None:
        """Deliver what waits, for some seconds, and close the sinks."""
        self._outbox.close(CLOSE_SECONDS)

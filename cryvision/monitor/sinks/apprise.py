"""Alerts through Apprise, which knows more than a hundred services."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cryvision.errors import ConfigError
from cryvision.monitor.alerting.alerts import Alert, DeliveryError, Sink
from cryvision.monitor.alerting.secrets import Secret


@dataclass(frozen=True)
class Apprise(Sink):
    """Sends each alert to the service of an Apprise URL.

    Such URLs hold tokens and passwords, so they come from a file or the environment.
    """

    name: str
    url: Secret

    def deliver(self, alert: Alert) -> None:
        import apprise

        # What Apprise logs may hold the URL.
        logging.getLogger("apprise").disabled = True
        service = apprise.Apprise()
        if not service.add(self.url.read()):
            raise ConfigError("the address must be a URL that Apprise knows")
        raised = apprise.NotifyType.FAILURE if alert.kind == "fault" else apprise.NotifyType.WARNING
        sent = service.notify(
            title=f"{alert.source}: {alert.rule} {alert.state}",
            body=alert.message,
            notify_type=raised if alert.state == "raised" else apprise.NotifyType.SUCCESS,
        )
        if not sent:
            raise DeliveryError("Apprise could not notify the service")

"""Receivers of alerts: the terminal, a command, a webhook, MQTT, ntfy, Apprise."""

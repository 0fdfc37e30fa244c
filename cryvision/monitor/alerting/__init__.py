"""From observations to alerts: rules, quiet hours, and the outbox in which they wait."""

"""Whether a monitor runs, for health checks, and its figures, for Prometheus."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import Counter
from datetime import datetime
from typing import Any

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.alerts import Alert
from cryvision.monitor.session import Observation

HOST = "127.0.0.1"

SILENT_SECONDS = 15.0
"""A source that has given nothing for so long is failing."""

LOOK_SECONDS = 0.1
"""How often the server looks whether it shall end, for which `HealthServer.close` waits."""


class Health:
    """Counts what a monitor observes, and says whether its sources are well."""

    def __init__(self, sources: list[str]) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Observation | None] = dict.fromkeys(sources)
        self._sound: dict[str, float] = dict.fromkeys(sources, time.monotonic())
        self._day = dict.fromkeys(sources, "")
        self._cry_seconds = dict.fromkeys(sources, 0.0)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._faults: dict[str, set[str]] = {name: set() for name in sources}

    def observe(self, observation: Observation) -> None:
        name = observation.source
        with self._lock:
            self._newest[name] = observation
            piece = observation.piece
            if piece is not None and len(piece.samples):
                self._sound[name] = time.monotonic()
            for timed in observation.events:
                if timed.offset_time is None:
                    continue
                midnight = datetime.fromtimestamp(timed.offset_time).replace(
                    hour=0, minute=0, second=0, microsecond=0
                )
                day = midnight.strftime("%Y-%m-%d")
                if day != self._day[name]:
                    self._day[name] = day
                    self._cry_seconds[name] = 0.0
                since = max(timed.onset_time, midnight.timestamp())
                self._cry_seconds[name] += max(0.0, timed.offset_time - since)
                self._counts["events", name, ""] += 1
            fault = observation.fault
            if fault is not None and fault.kind == "recovered":
                self._faults[name].discard(fault.ended)
            elif fault is not None:
                self._faults[name].add(fault.kind)
                self._counts["faults", name, fault.kind] += 1

    def note(self, alert: Alert) -> None:
        if alert.state == "raised":
            with self._lock:
                self._counts["alerts", alert.source, alert.rule] += 1

    def minutes_today(self, source: str) -> float:
        """Give the minutes of crying since midnight, local time, or since the monitor began."""
        with self._lock:
            today = datetime.fromtimestamp(time.time()).strftime("%Y-%m-%d")
            return self._cry_seconds[source] / 60 if self._day[source] == today else 0.0

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Say whether all sources are well, and for each since when nothing came and its faults."""
        now = time.monotonic()
        with self._lock:
            sources = {
                name: {
                    "seconds_since_sound": round(now - newest, 1),
                    "faults": sorted(self._faults[name]),
                }
                for name, newest in self._sound.items()
            }
            well = not any(self._faults.values()) and all(
                now - newest <= SILENT_SECONDS for newest in self._sound.values()
            )
        return well, {"status": "ok" if well else "failing", "sources": sources}

    def metrics(self) -> str:
        """Give the figures in the text format of Prometheus, version 0.0.4."""
        now = time.monotonic()
        rows: dict[str, list[tuple[dict[str, str], float]]] = {name: [] for name in METRICS}
        with self._lock:
            for name, newest in self._newest.items():
                label = {"source": name}
                rows["seconds_since_sound"].append((label, now - self._sound[name]))
                if newest is None:
                    continue
                state = newest.state
                values = {
                    "crying": None if newest.crying is None else float(newest.crying),
                    "probability": state.probability,
                    "level_dbfs": state.level_dbfs,
                }
                for key, value in values.items():
                    if value is not None and value == value:
                        rows[key].append((label, value))
            for (key, name, which), count in sorted(self._counts.items()):
                labels = {"source": name}
                if which:
                    labels["rule" if key == "alerts" else "kind"] = which
                rows[f"{key}_total"].append((labels, count))
        for name in self._newest:
            rows["crying_minutes_today"].append(({"source": name}, self.minutes_today(name)))
        return "".join(_family(name, *METRICS[name], rows[name]) for name in METRICS)


METRICS = {
    "crying": ("gauge", "Whether there is crying now; missing where that is unknown."),
    "probability": ("gauge", "Cry score of the newest step."),
    "level_dbfs": ("gauge", "Level of the past second in the detector's band."),
    "seconds_since_sound": ("gauge", "Seconds since sound last came."),
    "crying_minutes_today": (
        "gauge",
        "Minutes of crying since midnight, local time, or since the start.",
    ),
    "events_total": ("counter", "Events of crying that ended."),
    "faults_total": ("counter", "Faults of the source."),
    "alerts_total": ("counter", "Alerts raised."),
}
"""Name without ``cryvision_`` to its type and description."""


def _family(
    name: str, kind: str, description: str, rows: list[tuple[dict[str, str], float]]
) -> str:
    full = f"cryvision_{name}"
    lines = [f"# HELP {full} {description}", f"# TYPE {full} {kind}"]
    for labels, value in rows:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{{{pairs}}} {value:.6g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class HealthServer:
    """Serves ``/healthz`` and ``/metrics`` on 127.0.0.1, in a thread of its own.

    Port 0 is any that is free; the attribute ``port`` has the one that is used.
    """

    def __init__(self, health: Health, port: int) -> None:
        class Handler(_Handler):
            figures = health

        try:
            self._server = http.server.ThreadingHTTPServer((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise CryvisionError(
                f"the port for metrics must be free on {HOST}; {port} is not: {error}"
            ) from error
        self.port = int(self._server.server_address[1])
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK_SECONDS,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    figures: Health
    timeout = 10
    server_version = "cryvision"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            well, report = self.figures.report()
            self._send(200 if well else 503, "application/json", json.dumps(report) + "\n")
        elif self.path == "/metrics":
            self._send(200, "text/plain; version=0.0.4; charset=utf-8", self.figures.metrics())
        else:
            self._send(404, "text/plain; charset=utf-8", "only /healthz and /metrics are here\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: whoever asks each second would fill the log."""

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

"""A process that puts alerts into an outbox until it is killed: PATH URL FIRST."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from receivers import make_alert

from cryvision.monitor.alerting.outbox import Outbox, Retries
from cryvision.monitor.sinks.webhook import Webhook

path, url, first = sys.argv[1:]
outbox = Outbox(Path(path), {"hook": Webhook("hook", url)}, Retries(first_s=0.01, longest_s=0.05))
number = int(first)
while True:
    alert = make_alert(id=f"{number:032x}")
    outbox.put(alert, ["hook"])
    # Only what is printed was taken: the tests count on these.
    print(alert.id, flush=True)
    number += 1
    time.sleep(0.002)

"""A process that puts alerts into an outbox until it is killed: PATH URL FIRST."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from receivers import make_alert

from cryvision.monitor.alerting import outbox as outboxes
from cryvision.monitor.sinks.http import Webhook

path, url, first = sys.argv[1:]
outboxes.FIRST_WAIT_S, outboxes.LONGEST_WAIT_S = 0.01, 0.05
outbox = outboxes.Outbox(Path(path), {"hook": Webhook("hook", url)})
number = int(first)
while True:
    alert = make_alert(id=f"{number:032x}")
    outbox.put(alert, ["hook"])
    # Only what is printed was taken: the tests count on these.
    print(alert.id, flush=True)
    number += 1
    time.sleep(0.002)

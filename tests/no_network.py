"""What Python runs at the start of each process to forbid the network and to note what is tried."""

from __future__ import annotations

WATCH = """
import os, sys

TRIES = {"connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg"}

def watch(event, args):
    if event.startswith("socket.") and event[7:] in TRIES:
        with open(os.environ["TRIED"], "a") as file:
            print(event, args, sys.argv, file=file)
        raise OSError("there is no network here")

sys.addaudithook(watch)
"""

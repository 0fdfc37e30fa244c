"""``cryvision serve``: a page to see, hear and correct what was found."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, add_bundle_option, log, show
from cryvision.errors import ConfigError

HOST, PORT = "127.0.0.1", 7860
MAX_UPLOAD_MB, MAX_MINUTES = 500, 240.0
"""As in `cryvision.web.settings`, which would take time to import."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="see, hear and correct what was found, on a page",
        description="Serve a page on this machine: open clips, see and hear what was found, "
        "correct it, train on the corrections, watch live. It is reached from this machine alone, "
        "uploads are deleted when it ends, and nothing is sent anywhere. Ctrl-C ends it.",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        help="show the clips of this folder; nothing is written there but CLIP.corrections.json",
    )
    parser.add_argument(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help="address to listen on; any but this machine's own needs --auth-file or --insecure "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        metavar="N",
        help="port to listen on, 0 for any (default: %(default)s)",
    )
    parser.add_argument(
        "--auth-file",
        metavar="FILE",
        help="who may log in: lines that --hash-password prints. Passwords cross the network "
        "unencrypted unless a proxy with TLS stands before the server",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="let anybody on the network use the page"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--live",
        metavar="FILE",
        help="let the page watch the sources of this configuration of 'cryvision live'",
    )
    _add_limits(parser)
    parser.add_argument(
        "--hash-password",
        metavar="NAME",
        help="ask for a password, print the line for --auth-file, and exit",
    )
    add_bundle_option(parser)
    parser.set_defaults(run=run)


def _add_limits(parser: Any) -> None:
    parser.add_argument(
        "--max-upload-mb",
        type=float,
        default=MAX_UPLOAD_MB,
        metavar="MB",
        help="refuse larger uploads (default: %(default)g)",
    )
    parser.add_argument(
        "--max-minutes",
        type=float,
        default=MAX_MINUTES,
        metavar="MINUTES",
        help="refuse longer clips (default: %(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    if options.hash_password is not None:
        return _hash_password(options.hash_password)
    from pathlib import Path

    from cryvision.web.server import serve
    from cryvision.web.settings import ServeSettings

    settings = ServeSettings(
        host=options.host,
        port=options.port,
        bundle=options.bundle,
        folder=None if options.folder is None else Path(options.folder),
        auth_file=None if options.auth_file is None else Path(options.auth_file),
        insecure=options.insecure,
        live_config=None if options.live is None else Path(options.live),
        max_upload_mb=options.max_upload_mb,
        max_minutes=options.max_minutes,
    )

    def ready(address: str) -> None:
        log(f"the page is at {address}")
        if options.open:
            import webbrowser

            webbrowser.open(address)

    serve(settings, ready)
    return EXIT_DONE


def _hash_password(name: str) -> int:
    import getpass
    import sys

    from cryvision.web.passwords import hash_password

    try:
        if sys.stdin is not None and sys.stdin.isatty():
            password = getpass.getpass(f"password of {name}: ")
        else:
            password = sys.stdin.readline().rstrip("\n")
    except (EOFError, AttributeError) as error:
        raise ConfigError("a password must come by standard input; got none") from error
    show(hash_password(name, password))
    return EXIT_DONE

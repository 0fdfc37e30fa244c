"""``cryvision live``: watch microphones, cameras and streams, and raise alerts."""

from __future__ import annotations

import argparse
import itertools
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cryvision.commands.classify import add_event_options, event_options
from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_SOME_FAILED,
    add_bundle_option,
    log,
    show,
    show_json,
)
from cryvision.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryvision.monitor.config import LiveConfig, RecordingSettings, SourceSettings
    from cryvision.monitor.live import LiveMonitor
    from cryvision.monitor.screen import Screen
    from cryvision.monitor.session import LiveSession, Observation

_REPORT = "sum up a folder that 'cryvision live --record-events' wrote"
STATE_SECONDS = 1.0
ALERT_AFTER_SECONDS = 10.0
"""As in `cryvision.monitor`, which would take time to import."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "live",
        help="watch microphones, cameras and streams, and raise alerts",
        description="Listen all the time: report when crying begins and ends, and raise an alert "
        "when it lasts. Without a source, the default microphone is used. Never rely on it alone "
        "to look after a child.",
    )
    _add_sources(parser)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with sources, rules, quiet hours and receivers of alerts",
    )
    parser.add_argument(
        "--alert-after",
        type=float,
        metavar="SECONDS",
        help="raise an alert when crying has lasted this long, short pauses included "
        f"(default: {ALERT_AFTER_SECONDS:g})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line, each with a type"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=STATE_SECONDS,
        metavar="SECONDS",
        help="how often to show the state of each source (default: %(default)g)",
    )
    parser.add_argument(
        "--record-events",
        metavar="DIR",
        help="keep the sound of each bout, and pictures where there are any, with ten seconds "
        "before it (default: nothing is kept)",
    )
    parser.add_argument(
        "--mask-speech",
        action="store_true",
        help="in recordings, silence adult speech where nobody cries",
    )
    parser.add_argument(
        "--metrics",
        type=int,
        metavar="PORT",
        help="serve /healthz and /metrics (Prometheus) on 127.0.0.1",
    )
    add_bundle_option(parser)
    add_event_options(parser)
    parser.set_defaults(run=run)
    _add_report(parser)


def _add_report(parser: Any) -> None:
    reports = parser.add_subparsers(metavar="report DIR", prog="cryvision live", help=_REPORT)
    report = reports.add_parser("report", description=f"{_REPORT.capitalize()}.")
    report.add_argument("folder", metavar="DIR")
    report.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON object per source and day",
    )
    report.add_argument("--figure", metavar="FILE", help="draw the days into a PNG file")
    report.set_defaults(run=run_report, live_options=parser._actions)


def _add_sources(parser: Any) -> None:
    group = parser.add_argument_group("sources", "Each may be given more than once.")
    group.add_argument(
        "--microphone",
        nargs="?",
        const="",
        action="append",
        metavar="DEVICE",
        help="number or part of the name of a device, as --list-devices shows them",
    )
    group.add_argument(
        "--camera",
        nargs="?",
        const="0",
        action="append",
        metavar="INDEX",
        help="a camera for the pictures of recordings; its sound comes from the --microphone in "
        "the same place, without one from the default microphone",
    )
    group.add_argument(
        "--rtsp", action="append", metavar="URL", help="a network stream: RTSP, HTTP or RTMP"
    )
    group.add_argument("--file", action="append", metavar="CLIP", help="play a clip in real time")
    group.add_argument(
        "--no-wait", action="store_true", help="play --file as fast as this computer can"
    )
    group.add_argument(
        "--list-devices", action="store_true", help="list microphones and cameras, and exit"
    )


def run(options: argparse.Namespace) -> int:
    if options.list_devices:
        from cryvision.monitor.sources.microphone import list_devices

        show(list_devices())
        return EXIT_DONE
    if not options.every > 0:
        raise ConfigError(f"--every must be above 0 s; got {options.every:g}")
    config = _config(options)
    if options.no_wait and all(one.kind != "file" for one in config.sources):
        raise ConfigError("--no-wait is for --file; got none")
    from cryvision.bundle import Bundle
    from cryvision.monitor.live import LiveMonitor, open_source
    from cryvision.monitor.screen import Screen
    from cryvision.monitor.session import LiveSession

    bundle = Bundle.load(options.bundle).keeping_models()
    sources = [
        open_source(one, pictures=config.recording is not None, realtime=not options.no_wait)
        for one in config.sources
    ]
    sessions = [LiveSession(source, bundle, **event_options(options)) for source in sources]
    monitor = LiveMonitor(sessions)
    with ExitStack() as stack:
        _watch(monitor, sessions, config, Screen(show, options.json, options.every), stack)
    if not monitor.failed:
        return EXIT_DONE
    return EXIT_FAILED if len(monitor.failed) == len(sessions) else EXIT_SOME_FAILED


def _watch(
    monitor: LiveMonitor,
    sessions: list[LiveSession],
    config: LiveConfig,
    screen: Screen,
    stack: ExitStack,
) -> None:
    from dataclasses import replace

    from cryvision.monitor.alerting.dispatch import Alerting
    from cryvision.monitor.health import Health, HealthServer
    from cryvision.monitor.sinks.console import Console

    health = Health([session.name for session in sessions])
    stack.callback(screen.close)
    observers: list[Callable[[Observation], object]] = [health.observe, screen.observe]
    if config.recording is not None:
        observers.append(_recording(config.recording, sessions, stack))
    if config.metrics_port is not None:
        server = HealthServer(health, config.metrics_port)
        stack.callback(server.close)
        log(f"metrics at http://127.0.0.1:{server.port}/metrics")
    sinks = tuple(
        replace(sink, write=screen.write) if isinstance(sink, Console) else sink
        for sink in config.sinks
    )
    alerting = Alerting(replace(config, sinks=sinks), health)
    stack.callback(alerting.close)
    observers.append(alerting.observe)
    for observation in monitor.observations():
        for observe in observers:
            observe(observation)


def _recording(
    settings: RecordingSettings, sessions: list[LiveSession], stack: ExitStack
) -> Callable[[Observation], None]:
    """Make a recorder for each session; give what passes an observation to its recorder."""
    from cryvision.monitor.recording.recorder import Recorder

    recorders = {}
    for session in sessions:
        recorder = recorders[session.name] = Recorder(settings, session.name, session.bundle)
        stack.callback(recorder.close)
    return lambda observation: recorders[observation.source].observe(observation)


def _config(options: argparse.Namespace) -> LiveConfig:
    from dataclasses import replace
    from pathlib import Path

    from cryvision.monitor.alerting.crying_rules import SustainedCrying
    from cryvision.monitor.config import LiveConfig, RecordingSettings, load_config
    from cryvision.monitor.sinks.console import Console

    named = sources(options)
    if options.config is not None:
        if named or options.alert_after is not None:
            raise ConfigError("sources and rules must come from --config or from options; got both")
        config = load_config(Path(options.config))
    else:
        after_s = ALERT_AFTER_SECONDS if options.alert_after is None else options.alert_after
        if not 0 <= after_s <= 86_400:
            raise ConfigError(f"--alert-after must be 0 to 86400 s; got {after_s:g}")
        from cryvision.monitor.alerting.alerts import FaultRule

        config = LiveConfig(
            sources=tuple(named) or (_source("microphone", ""),),
            rules=(SustainedCrying(after_s=after_s), FaultRule()),
            sinks=(Console(json=options.json),),
        )
    if options.record_events == "":
        raise ConfigError("--record-events must name a folder; got nothing")
    if options.record_events is not None:
        recording = config.recording or RecordingSettings(Path(options.record_events))
        config = replace(config, recording=replace(recording, folder=Path(options.record_events)))
    if options.mask_speech:
        if config.recording is None:
            raise ConfigError("--mask-speech needs --record-events; got none")
        config = replace(config, recording=replace(config.recording, mask_speech=True))
    if options.metrics is not None:
        if not 0 <= options.metrics <= 65_535:
            raise ConfigError(f"--metrics must be a port from 0 to 65535; got {options.metrics}")
        config = replace(config, metrics_port=options.metrics)
    return config


def sources(options: argparse.Namespace) -> list[SourceSettings]:
    """Turn the options into sources with names that differ."""
    cameras, microphones = options.camera or [], options.microphone or []
    pairs = itertools.zip_longest(cameras, microphones[: len(cameras)])
    found = [_source("camera", index, sound) for index, sound in pairs]
    rest = {
        "microphone": microphones[len(cameras) :],
        "rtsp": options.rtsp or [],
        "file": options.file or [],
    }
    found += [_source(kind, value) for kind, values in rest.items() for value in values]
    names = [source.name for source in found]
    from dataclasses import replace

    return [
        source if names.count(source.name) == 1 else replace(source, name=f"{source.name}-{i}")
        for i, source in enumerate(found, 1)
    ]


def _source(kind: str, value: str, microphone: str | None = None) -> Any:
    from cryvision.monitor.config import SourceSettings

    if kind == "camera" and not (value.isdecimal() and len(value) <= 2):
        raise ConfigError(f"--camera must be a whole number from 0 to 99; got {value!r}")
    if kind in ("rtsp", "file") and not value:
        raise ConfigError(f"--{kind} must name something; got nothing")
    name = os.path.basename(value) if kind == "file" else kind
    return SourceSettings(name, kind, value or None, microphone or None)


def run_report(options: argparse.Namespace) -> int:
    from pathlib import Path

    from cryvision.monitor.recording import day_report

    for action in options.live_options:
        used = getattr(options, action.dest, action.default) != action.default
        if used and action.dest != "json":
            raise ConfigError(f"{action.option_strings[0]} has no meaning for 'live report'")
    if options.figure is not None:
        from cryvision.monitor.recording.day_figure import check_target, draw

        check_target(Path(options.figure))
    days = day_report.read(Path(options.folder))
    if options.json:
        for record in day_report.record(days):
            show_json(record)
    else:
        show(day_report.text(days))
    if options.figure is not None:
        draw(days, Path(options.figure))
        log(f"wrote {options.figure}")
    return EXIT_DONE

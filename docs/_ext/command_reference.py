"""The reference of the command line, written from its parser so that it cannot drift."""

from __future__ import annotations

import argparse
import re

USAGE_WIDTH = 88

_OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#$])")


def command_reference(parser: argparse.ArgumentParser) -> str:
    """Describe a parser and each of its commands.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        With commands or without.

    Returns
    -------
    str
        MyST Markdown: a section for the program and one for each command, with description, usage
        and every argument.
    """
    sections = [parser, *commands(parser).values()]
    blocks = [block for section in sections for block in _described(section)]
    return "\n\n".join(blocks) + "\n"


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Give the parsers of the commands by name, in their order, and below each those it has."""
    found = {}
    # argparse has no public way to ask a parser for what was added to it.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found[name] = command
                found |= {f"{name} {below}": p for below, p in commands(command).items()}
    return found


def _described(parser: argparse.ArgumentParser) -> list[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=USAGE_WIDTH)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    usage = formatter.format_help().strip().removeprefix("usage: ")
    blocks = [f"## {parser.prog}"]
    texts = filter(None, (parser.description, parser.epilog))
    blocks += [_plain(paragraph) for text in texts for paragraph in text.split("\n\n")]
    blocks += [f"```text\n{usage}\n```", f"```{{program}} {parser.prog}\n```"]
    for action in parser._actions:
        # Every command has --help, and the commands have sections of their own.
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            text = _plain(formatter._expand_help(action)) if action.help else ""
            blocks.append(f"```{{option}} {_signature(action)}\n{text}\n```")
    return blocks


def _signature(action: argparse.Action) -> str:
    """How an argument is written: its names, each with the value it takes."""
    if not action.option_strings:
        name = str(action.metavar or action.dest)
        return f"{name} ..." if action.nargs in ("+", "*") else name
    value = ""
    if action.nargs != 0:
        choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices else None
        value = f" {action.metavar or choices or action.dest.upper()}"
    return ", ".join(name + value for name in action.option_strings)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, options as code: two hyphens would become a dash."""
    shown = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return _OPTION.sub(r"`\g<0>`", shown)

"""The errors that cryvision raises on purpose; each message is one line that a user can act on."""

from __future__ import annotations


class CryvisionError(Exception):
    """Something a user can mend: the message states the rule, what was received and where.

    Attributes
    ----------
    exit_code : int
        Status with which the command line ends when this error ends it.
    """

    exit_code = 1


class MediaError(CryvisionError):
    """A clip could not be read: missing, empty, damaged, not media, or nothing to decode."""


class BundleError(CryvisionError):
    """A bundle was refused: damaged, tampered with, of an unknown version, or unsafe to read."""


class ConfigError(CryvisionError):
    """A setting or an argument is outside what it may be."""

    exit_code = 2


class AnnotationError(CryvisionError):
    """A file of labels could not be understood; the message names the file and the line."""


class MissingDependencyError(CryvisionError):
    """A library or a system package is not there; the message names the remedy."""


class DownloadError(CryvisionError):
    """A file could not be fetched: its URL, the cause, what to do by hand."""

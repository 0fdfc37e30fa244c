"""A bundle: models and the description of what they take and how good they are."""

from cryvision.bundle.bundle import Bundle
from cryvision.bundle.parts import Part

__all__ = ["Bundle", "Part"]

"""Sound and frames of a clip become scores, events and classes."""

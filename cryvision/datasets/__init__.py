"""Labelled recordings: where they are, what their labels say, how they are divided."""

"""Labelled recordings: their files, their labels and their splits."""

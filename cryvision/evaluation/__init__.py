"""Measures of a bundle, a detector or a training, and their reports."""

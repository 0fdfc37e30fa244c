"""Labelled clips become a bundle: annotations, splits, evaluation and training."""

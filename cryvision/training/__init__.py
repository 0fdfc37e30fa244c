"""Labelled clips become a bundle that predicts classes."""

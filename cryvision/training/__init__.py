"""Labelled clips become a bundle that tells classes apart."""

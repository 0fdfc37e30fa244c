"""Copies of a bundle's models for other runtimes, each compared with its Keras original."""

"""Faces in pictures, and the numbers that describe them."""

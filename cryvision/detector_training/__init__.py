"""Annotated recordings become a cry detector."""

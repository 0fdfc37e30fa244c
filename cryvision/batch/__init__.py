"""Scores a folder, a bucket or a million clips into one table, each clip exactly once."""

"""A clip becomes arrays."""

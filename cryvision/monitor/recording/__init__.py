"""Recordings of crying, and what they and their minutes say of a day."""

"""Targets that transformers computes: its own modules, on this project's cache and attention."""

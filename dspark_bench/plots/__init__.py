"""Figures from stored results: `figures.plot` draws whatever a results folder holds."""

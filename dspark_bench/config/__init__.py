"""Hydra: a command line becomes checked, typed points."""

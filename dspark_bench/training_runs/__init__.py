"""Runs of training: from a target and a corpus to checkpoints on disk."""

"""Workloads: where prompts come from. One file each, blind to one another."""

"""Plug-ins that decide how much of each draft is made and verified, one file each."""

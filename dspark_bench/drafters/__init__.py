"""Plug-ins that propose tokens, one file each."""

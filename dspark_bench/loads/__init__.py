"""Plug-ins that say when requests arrive, one file each."""

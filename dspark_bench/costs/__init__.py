"""Plug-ins that say what a decode step costs, one file each."""

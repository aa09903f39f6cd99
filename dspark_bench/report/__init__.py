"""Reads results only: what they recommend, and a page that shows them."""

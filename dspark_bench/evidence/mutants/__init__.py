"""Planted bugs: a list of single edits (`edits/*.toml`), and whether the tests notice each."""

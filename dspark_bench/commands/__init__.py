"""One module a verb of the command line, and what the terminal shows."""

"""Thousands of requests in one process, every one of them accounted for (`make soak`)."""

"""Benchmarks speculative decoding with a real engine and really trained drafters."""

"""What every room may use: types, protocols, exact sampling, random streams, clocks, errors."""

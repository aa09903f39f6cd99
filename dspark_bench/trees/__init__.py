"""Tree policies: which continuations of an anchor are proposed. One module each."""

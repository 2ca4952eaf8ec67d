"""A GRU that attends to its own past and can copy from it."""

"""Files to texts that may be trusted: reading, catalogue, near-duplicates, leak-free splits, audit."""

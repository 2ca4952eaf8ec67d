"""Files to texts that may be trusted: reading, the catalog, near-duplicate groups, leak-free splits, the audit."""

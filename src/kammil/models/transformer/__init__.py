"""A small Transformer of the Llama layout."""

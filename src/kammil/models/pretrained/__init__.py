"""Causal language models that others trained, fine-tuned, and read as characters."""

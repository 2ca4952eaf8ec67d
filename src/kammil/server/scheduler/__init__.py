"""Runs a model for many clients at once: one thread per model, which never waits for the network."""

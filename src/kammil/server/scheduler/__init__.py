"""Runs each model for many clients, on a thread that never waits for the network."""

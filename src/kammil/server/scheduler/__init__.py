"""Runs each model on a thread, which never waits for the network, for many clients at once."""

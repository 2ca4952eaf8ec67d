"""Steps of GRUs and blends: a reference that is easy to check, and C."""

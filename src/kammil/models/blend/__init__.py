"""Counts and GRUs, trained together and mixed by a gate."""

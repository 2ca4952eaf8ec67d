"""Metrics of a model, with confidence intervals, beside baselines."""

"""Measure how good a model is: metrics of the model that ships, with confidence intervals, beside baselines."""

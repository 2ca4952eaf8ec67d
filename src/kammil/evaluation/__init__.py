"""How good a model is, said honestly: figures of the running side that ships, with intervals, beside baselines."""

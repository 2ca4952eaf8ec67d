"""Compare all families on one leak-free split with equal training time, in a folder that can be resumed."""

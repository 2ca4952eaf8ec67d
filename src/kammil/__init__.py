"""Kammil (كمّل, "go on, finish it"): text completion from your own short texts, on a laptop CPU."""

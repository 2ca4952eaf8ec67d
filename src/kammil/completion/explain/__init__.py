"""Explain the bits of each character of a text: likely alternatives, and the experts that contributed."""

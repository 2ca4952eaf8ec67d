"""The model levantine-all of Kammil: a folder, no code."""

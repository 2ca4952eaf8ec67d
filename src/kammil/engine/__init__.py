"""How a GRU and a blend are stepped: a reference that is easy to check, and C."""

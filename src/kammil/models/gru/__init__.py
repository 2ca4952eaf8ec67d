"""A gated recurrent unit (GRU) over characters."""

"""How a network learns: teacher forcing in one loop, resumable, with honest sums."""

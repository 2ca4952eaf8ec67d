"""GRUs over words or byte-pair units, read as characters."""

"""Tables of what followed which context, and how they are looked up."""

"""What each character of a text cost, what else was likely, and which expert knew."""

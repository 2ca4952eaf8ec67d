"""The HTTP routes: what they take, what they return."""

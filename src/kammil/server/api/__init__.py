"""The HTTP API: what its routes take and return."""

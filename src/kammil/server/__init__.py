"""`kammil serve`: an OpenAI-compatible API and a playground. Needs the extra `serve`."""

"""`kammil serve`: an OpenAI-compatible API, and a page to try it. Needs the extra `serve`."""

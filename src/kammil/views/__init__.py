"""Views of results: on a terminal, in Markdown, in HTML and in a notebook."""

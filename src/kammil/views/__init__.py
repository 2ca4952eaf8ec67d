"""How results are shown: on a terminal, in Markdown, in HTML and in a notebook. Results know nothing of it."""

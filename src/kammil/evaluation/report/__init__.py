"""The report of a model, or of a comparison: one HTML page that needs no other file and makes no request.

`measurements` runs the model on a bounded number of texts, `sections` says what the page holds, `charts` computes the
lines of its figures, and `page` renders all of it with one template, which escapes whatever is put into it.
"""

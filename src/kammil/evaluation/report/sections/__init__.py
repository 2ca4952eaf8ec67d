"""The sections of a report, one function each; every one begins with a sentence that says how to read it.

Nothing is measured here. What a model or a comparison lacks has no section, or a sentence that says so.
"""

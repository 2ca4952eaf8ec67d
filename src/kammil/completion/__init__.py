"""A model ready to use: completions, suggestions, ghost text, scores, sessions, profiles."""

from kammil.completion.completer import Completer, Completion, Score, load

__all__ = ["Completer", "Completion", "Score", "load"]

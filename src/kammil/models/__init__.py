"""Families of models, a folder each; `family` names them all."""

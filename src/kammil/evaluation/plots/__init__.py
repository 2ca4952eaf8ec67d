"""Plots of results; nothing is computed here. matplotlib >= 3.11 shapes and orders Arabic itself."""

from kammil.evaluation.plots.calibration import reliability
from kammil.evaluation.plots.canvas import png, ready, save
from kammil.evaluation.plots.comparison import comparison
from kammil.evaluation.plots.learning_curve import learning_curve
from kammil.evaluation.plots.positions import accuracy_by_position
from kammil.evaluation.plots.training_curves import training_curves

__all__ = [
    "accuracy_by_position",
    "comparison",
    "learning_curve",
    "png",
    "ready",
    "reliability",
    "save",
    "training_curves",
]

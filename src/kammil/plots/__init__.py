"""Results to figures; nothing is computed here. matplotlib >= 3.11 shapes and orders Arabic itself."""

from kammil.plots.anything import histories, plot
from kammil.plots.calibration import reliability
from kammil.plots.canvas import png, ready, save
from kammil.plots.curves import training_curves
from kammil.plots.explanation import explained, temperatures
from kammil.plots.standings import comparison

__all__ = [
    "comparison",
    "explained",
    "histories",
    "plot",
    "png",
    "ready",
    "reliability",
    "save",
    "temperatures",
    "training_curves",
]

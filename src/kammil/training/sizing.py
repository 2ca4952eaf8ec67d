"""Choose the size of a model by its text and the minutes that it is given, where the user has chosen nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kammil import model_folder, process_group
from kammil.errors import OptionError
from kammil.locks import RUN, training_folder
from kammil.models.family import CountingLearner, family
from kammil.progress import note
from kammil.training.recipe import Recipe

_MANY = 1_000_000


class Sizes:
    """The options that a run takes from its text and minutes.

    There are none without minutes, beside a base or members, on another device than the CPU, in several processes, or
    where `given` has one of these options: the others have their defaults then.
    """

    def __init__(self, recipe: Recipe, given: Mapping[str, Any], *, resumed: Path | None = None) -> None:
        """Bind a recipe and the options that it was made of; `resumed`: the model whose interrupted run goes on, with
        the sizes that it had."""
        self._recipe, self._given = recipe, given
        self._stored = _stored(resumed) if resumed is not None else {}

    def choose(self, characters: int) -> dict[str, int]:
        """Return the options for so many characters of text, and tell them in a sentence."""
        learner, minutes = family(self._recipe.model).learner(), self._recipe.training.minutes
        named = ("base", "members", *learner.sized)
        if minutes is None or not learner.sized or any(self._given.get(name) for name in named):
            return {}
        if process_group.size() > 1 or (threads := _threads(self._recipe)) is None:
            return {}
        chosen = dict(learner.sizes(characters, minutes, threads))
        chosen |= {name: self._stored[name] for name in chosen if name in self._stored}
        sizes = ", ".join(_counted(name, value) for name, value in chosen.items())
        note(f"{sizes}: {_rounded(characters)} characters, {minutes:g} minute{'' if minutes == 1 else 's'}")
        return chosen


def options_of_base(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run that starts from a model folder which differ from the defaults of other runs.

    They are the shapes of the weights of the base and, where its vocabulary stays, what the family has found better
    for such runs; what is `given` is left out.
    """
    learner = family(recipe.model).learner()
    if recipe.base is not None and isinstance(learner, CountingLearner):
        raise OptionError(
            f"a model of the family {recipe.model} counts its texts and starts from nothing; leave base out."
        )
    if not isinstance(recipe.base, str) or not learner.of_base:
        return {}
    base, _ = model_folder.summary(Path(recipe.base))
    names = [name for name in learner.of_base if name in base.settings and given.get(name) is None]
    options = {name: base.settings[name] for name in names}
    if not learner.needs_vocabulary(recipe.settings | options, base):
        return options
    return options | {name: value for name, value in learner.from_base.items() if given.get(name) is None}


def _threads(recipe: Recipe) -> int | None:
    """Return the CPU threads that learn at the same time as the clock counts; None on another device."""
    from kammil.training.optim import make_accelerator

    options = recipe.training
    if make_accelerator(options.device).device.type != "cpu":
        return None
    if options.clock == "processor":
        return 1
    import torch

    return options.threads or torch.get_num_threads()


def _stored(out: Path) -> dict[str, Any]:
    """Return the options of the interrupted run of a model; empty where there is none."""
    try:
        return dict(json.loads((training_folder(out) / RUN).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _counted(name: str, number: int) -> str:
    """Return a value of an option in words."""
    words = {"hidden": ("unit", "units"), "networks": ("member", "members"), "epochs": ("pass", "passes")}
    one, many = words.get(name, (name, name))
    most = "at most " if name == "epochs" else ""
    return most + (f"one {one}" if number == 1 else f"{number:,} {many}")


def _rounded(number: int) -> str:
    """Return a number of characters to two digits or three."""
    return f"{number / _MANY:.3g} million" if number >= _MANY else f"{float(f'{number:.2g}'):,.0f}"

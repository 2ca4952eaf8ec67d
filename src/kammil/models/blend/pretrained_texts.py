"""Log-probabilities of a pretrained model on the texts that a blend learns, computed once.

Counts can leave a text out where it is looked up; a network cannot be asked what it would say had it not learnt a text.
So the expert is silent about training texts that it has learnt, and its gate learns from others: some of those that
are new to it, since it takes milliseconds a character.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kammil import model_folder as folders
from kammil import process_group
from kammil.data.bloom import learnt_texts
from kammil.errors import OptionError
from kammil.language_model import Artifacts, Ids, LogProbabilities
from kammil.models.blend.pretrained_expert import IDS, PREFIX, PretrainedExpert, ids_between
from kammil.models.blend.settings import BlendSettings
from kammil.models.family import TextPiece, TrainingTexts
from kammil.models.pretrained.model import PretrainedModel, PretrainedSettings
from kammil.progress import steps
from kammil.vocabulary import BOS, PAD

_FEWEST = 8
"""Fewest training texts that are new to the model."""
_BATCH = 16


@dataclass(frozen=True)
class PretrainedTexts:
    """A pretrained model, and its log-probabilities at every position of some texts."""

    window: int
    """Tokens that it reads."""
    artifacts: Artifacts
    """Its arrays and documents in the folder of a blend."""
    size: int
    """V."""
    read: Mapping[bool, Mapping[int, LogProbabilities]]
    """Log-probabilities of training texts (true) and of validation texts, by the text's number: (characters + 1, V)."""

    @classmethod
    def of(cls, settings: BlendSettings, texts: TrainingTexts) -> Self:
        """Open the model that the settings name, and read texts with it; `OptionError` where they are not new to it."""
        assert settings.pretrained is not None
        name, files = settings.pretrained, folders.read(Path(settings.pretrained))
        if files.description.family != "pretrained":
            raise OptionError(
                f"pretrained is {name!r}, a model of family {files.description.family}; name the folder of a "
                "pretrained model, which `kammil train --model pretrained --base NAME` makes."
            )
        ids = ids_between(texts.vocabulary, files.vocabulary)
        expert = PretrainedExpert(PretrainedModel.from_artifacts(files.description.settings, files.artifacts), ids)
        learnt = learnt_texts(files.seen, texts.texts)
        new = np.flatnonzero(~learnt)
        if len(new) < _FEWEST:
            raise OptionError(
                f"pretrained is {name!r}, which has learnt {learnt.sum():,} of {len(learnt):,} training texts; train "
                "it on other texts, such as one half: how far to believe it is learnt from texts that are new to it."
            )
        validation = [texts.vocabulary.decode(ids) for ids in texts.validation]
        if known := int(learnt_texts(files.seen, validation).sum()):
            raise OptionError(
                f"pretrained is {name!r}, which has learnt {known:,} of {len(validation):,} validation texts; name "
                "others with --validation, or train it again without them: with --set 'exclude=[\"FILE\"]' texts that "
                "resemble those of FILE are left out."
            )
        chosen = np.sort(np.random.default_rng(0).permutation(new)[: settings.pretrained_texts]).tolist()
        pieces = [(True, chosen[i : i + _BATCH]) for i in range(0, len(chosen), _BATCH)]
        held_out = list(range(len(texts.validation)))
        pieces += [(False, held_out[i : i + _BATCH]) for i in range(0, len(held_out), _BATCH)]
        step = steps("reading texts with the pretrained model", -(-len(pieces) // process_group.size()))

        def work(piece: int) -> tuple[LogProbabilities, ...]:
            step()
            learning, numbers = pieces[piece]
            among = texts.train if learning else texts.validation
            return tuple(_read(expert, [among[number] for number in numbers]))

        read: dict[bool, dict[int, LogProbabilities]] = {True: {}, False: {}}
        for (learning, numbers), found in zip(pieces, process_group.dealt(len(pieces), work), strict=True):
            read[learning] |= zip(numbers, (array.astype(np.float32) for array in found), strict=True)
        arrays = {PREFIX + n: array for n, array in files.artifacts.weights.items()} | {IDS: ids.astype(np.int32)}
        window = PretrainedSettings.model_validate(files.description.settings).window
        return cls(window, Artifacts(arrays, files.artifacts.documents), texts.vocabulary.size, read)

    def features(self, rows: Sequence[TextPiece], width: int, *, learning: bool) -> tuple[NDArray[np.float32], ...]:
        """Return the log-probabilities at the positions of a batch, (B, T, V), zero where a text was not read, and
        whether each text was, (B,)."""
        scores = np.zeros((len(rows), width, self.size), np.float32)
        was_read = np.zeros(len(rows), np.float32)
        for i, row in enumerate(rows):
            if row.text in self.read[learning]:
                part = self.read[learning][row.text][row.begin :][: len(row.ids) - 1]
                scores[i, : len(part)], was_read[i] = part, 1
        return scores, was_read


def _read(expert: PretrainedExpert, texts: Sequence[Ids]) -> list[LogProbabilities]:
    """Return the log-probabilities at all positions of each text, as one batch."""
    ids = np.full((len(texts), max(map(len, texts)) + 1), PAD, np.int64)
    ids[:, 0] = BOS
    for row, text in zip(ids, texts, strict=True):
        row[1 : len(text) + 1] = text
    scores, _ = expert.forward(ids, expert.model.initial_state(len(ids)), None)
    return [row[: len(text) + 1] for row, text in zip(scores, texts, strict=True)]

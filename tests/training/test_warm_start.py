"""Going on from another network: what it knew about characters that both have stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kammil.errors import OptionError
from kammil.models.gru.network import GRUSettings, build
from kammil.training.warm_start import warm_start
from kammil.vocabulary import BOS, UNK, CharacterVocabulary

SETTINGS = GRUSettings(embedding=6, hidden=10, dropout=0.0)


def test_new_characters_share_what_was_unknown() -> None:
    theirs, ours = CharacterVocabulary("بتج"), CharacterVocabulary("اجتبخ")
    torch.manual_seed(0)
    old = build(theirs.size, SETTINGS).eval()
    new = build(ours.size, SETTINGS).eval()
    warm_start(new, ours, {name: value.numpy() for name, value in old.state_dict().items()}, theirs)
    text = "بتجتب"
    with torch.no_grad():
        before, after = (
            torch.softmax(network(torch.from_numpy(np.append([BOS], v.encode(text)))[None]), -1)[0]
            for network, v in ((old, theirs), (new, ours))
        )
    shared = [(int(theirs.encode(c)[0]), int(ours.encode(c)[0])) for c in "بتج"]
    for one, other in [*shared, (3, 3)]:
        assert after[:, other].numpy() == pytest.approx(before[:, one].numpy(), abs=1e-6)
    unknown = after[:, [UNK, *(int(ours.encode(c)[0]) for c in "اخ")]]
    assert unknown.sum(-1).numpy() == pytest.approx(before[:, UNK].numpy(), abs=1e-6)
    assert torch.allclose(unknown, unknown[:, :1].expand_as(unknown))


def test_a_matrix_that_is_as_high_as_the_vocabulary_is_no_list_of_characters() -> None:
    theirs, ours = CharacterVocabulary("بت"), CharacterVocabulary("اتب")
    chosen = GRUSettings(embedding=6, hidden=2)
    old, new = (build(vocabulary.size, chosen) for vocabulary in (theirs, ours))
    weights = {name: value.numpy().copy() for name, value in old.state_dict().items()}
    for value in weights.values():
        value.flags.writeable = False  # as those of a file
    by_character = ("embedding.weight", "output.weight", "output.bias")
    assert any(len(value) == theirs.size for name, value in weights.items() if name not in by_character)
    warm_start(new, ours, weights, theirs)
    for name, value in new.state_dict().items():
        assert name in by_character or np.array_equal(value.numpy(), weights[name])


def test_another_size_is_refused() -> None:
    vocabulary = CharacterVocabulary("ab")
    old, new = (build(vocabulary.size, GRUSettings(embedding=6, hidden=h)) for h in (10, 12))
    weights = {name: value.detach().numpy() for name, value in old.state_dict().items()}
    with pytest.raises(OptionError, match="give both models the same sizes"):
        warm_start(new, vocabulary, weights, vocabulary)


def test_a_model_of_another_kind_is_refused() -> None:
    vocabulary = CharacterVocabulary("ab")
    with pytest.raises(OptionError, match="name one of the same family"):
        warm_start(build(vocabulary.size, SETTINGS), vocabulary, {"counts.1": np.zeros(3)}, vocabulary)

"""Going on from another network: what it knew about characters that both have stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kammil.errors import OptionError
from kammil.models.attention import network as attention
from kammil.models.gru.network import GRUSettings, build
from kammil.training.initial_weights import seed_of, warm_start
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


@pytest.mark.parametrize("hidden", [11, 20, 33])
def test_a_wider_network_begins_where_the_narrower_one_ended(hidden: int) -> None:
    theirs, ours = CharacterVocabulary("بتج"), CharacterVocabulary("تجب")
    torch.manual_seed(0)
    old = build(theirs.size, SETTINGS).eval()
    new = build(ours.size, SETTINGS.model_copy(update={"hidden": hidden})).eval()
    random = {name: value.clone() for name, value in new.state_dict().items()}
    warm_start(new, ours, {name: value.numpy() for name, value in old.state_dict().items()}, theirs)
    ids = [(int(theirs.encode(c)[0]), int(ours.encode(c)[0])) for c in "بتج"] + [(i, i) for i in range(4)]
    with torch.no_grad():
        before, after = (
            network(torch.from_numpy(np.append([BOS], v.encode("بتجتبججت")))[None])[0].numpy()
            for network, v in ((old, theirs), (new, ours))
        )
    for one, other in ids:
        assert after[:, other] == pytest.approx(before[:, one], abs=1e-6)
    # The new units are different from each other, and learn: what they read is as it was drawn.
    for name in ("gru.weight_ih_l0", "gru.weight_hh_l0", "gru.bias_ih_l0", "gru.bias_hh_l0"):
        drawn, kept = (weights[name].unflatten(0, (3, hidden))[:, 10:] for weights in (random, new.state_dict()))
        assert torch.equal(drawn, kept)
    new(torch.from_numpy(ours.encode("بتجتب")[None])).logsumexp(-1).sum().backward()
    assert new.output.weight.grad is not None and new.output.weight.grad[:, 10:].any()


def test_a_wider_network_with_attention_begins_where_the_narrower_one_ended() -> None:
    vocabulary = CharacterVocabulary("بتج")
    torch.manual_seed(0)
    chosen = attention.AttentionSettings(embedding=6, hidden=10, attention=4, dropout=0.0)
    old = attention.PointerGRU(vocabulary.size, chosen).eval()
    new = attention.PointerGRU(vocabulary.size, chosen.model_copy(update={"hidden": 17})).eval()
    warm_start(new, vocabulary, {name: value.numpy() for name, value in old.state_dict().items()}, vocabulary)
    ids = torch.from_numpy(np.append([BOS], vocabulary.encode("بتجتبججت")))[None]
    with torch.no_grad():
        assert new(ids).numpy() == pytest.approx(old(ids).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("sizes", "way"),
    [
        ({"hidden": 8}, "give hidden=10, or more"),
        ({"embedding": 7}, "give both models the same sizes"),
        ({"embedding": 7, "hidden": 12}, "give both models the same sizes"),
    ],
)
def test_other_sizes_are_refused(sizes: dict[str, int], way: str) -> None:
    vocabulary = CharacterVocabulary("ab")
    old, new = (build(vocabulary.size, SETTINGS.model_copy(update=values)) for values in ({}, sizes))
    weights = {name: value.detach().numpy() for name, value in old.state_dict().items()}
    with pytest.raises(OptionError, match=way):
        warm_start(new, vocabulary, weights, vocabulary)


def test_a_model_of_another_kind_is_refused() -> None:
    vocabulary = CharacterVocabulary("ab")
    with pytest.raises(OptionError, match="name one of the same family"):
        warm_start(build(vocabulary.size, SETTINGS), vocabulary, {"counts.1": np.zeros(3)}, vocabulary)


def test_the_first_member_has_the_seed_of_the_run_and_no_two_have_the_same() -> None:
    assert seed_of(0, 7) == 7
    seeds = [seed_of(member, seed) for member in range(16) for seed in range(16)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**32 for seed in seeds)

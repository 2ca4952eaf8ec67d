"""The channel against the counts that it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kammil.completion.channel import SLIPS, Channel
from kammil.languages import known, neighbours
from kammil.vocabulary import BOS, EOS, UNK, CharacterVocabulary

VOCABULARY = CharacterVocabulary(" 1abابتةهأإىيلك我")


def weights(channel: Channel, typed: str) -> dict[str, float]:
    """What may be wanted by a typed letter, and with what weight."""
    (id,) = VOCABULARY.encode(typed)
    wanted, likelihood, _ = channel.intended(int(id))
    return dict(zip(VOCABULARY.decode(wanted), likelihood.tolist(), strict=True))


@pytest.fixture(scope="module")
def counts() -> Any:
    return known()["arabic"].table("channel")


@pytest.fixture(scope="module")
def channel() -> Channel:
    return Channel.of(VOCABULARY)


def test_the_letter_itself_costs_nothing_and_comes_first(channel: Channel) -> None:
    for typed in VOCABULARY.characters:
        first, *others = weights(channel, typed).items()
        assert first == (typed, 1.0)
        assert all(0 < weight < 1 for _, weight in others)
    for special in (BOS, EOS, UNK):
        ids, likelihood, spellings = channel.intended(special)
        assert (ids.tolist(), likelihood.tolist(), spellings) == ([special], [1.0], 1)


def test_a_spelling_weighs_as_much_as_its_pairs_say(channel: Channel, counts: Any) -> None:
    spellings = counts["spellings"]

    def share(wanted: str, typed: str) -> float:
        return spellings[wanted][typed] / sum(spellings[wanted].values())

    for typed, wanted in ("اأ", "أا", "هة", "ةه", "يى", "ىي", "اإ"):
        assert weights(channel, typed)[wanted] == pytest.approx(share(wanted, typed) / share(typed, typed))
    assert weights(channel, "ا")["أ"] > weights(channel, "أ")["ا"]  # a hamza is left out rather than put in


def test_neighbours_share_the_slips_of_a_key(channel: Channel, counts: Any) -> None:
    slips = counts["slips"]
    total = sum(slips[kind] for kind in ("neighbour", "dropped", "doubled", "swapped", "inserted"))
    for typed, wanted in ("بل", "ته", "هت", "لى"):  # at the edge of the keyboard a key has fewer
        of_the_wanted_key = SLIPS * slips["neighbour"] / total / len(neighbours()[wanted])
        assert weights(channel, typed)[wanted] == pytest.approx(of_the_wanted_key)
    assert weights(channel, "ب").keys() == {"ب", "ي", "ل"}  # those of the vocabulary
    assert weights(channel, "a").keys() == {"a"}
    inserted = channel.inserted * channel.letters.sum()
    per_letter = channel.dropped + channel.doubled + channel.swapped + inserted + SLIPS * slips["neighbour"] / total
    assert per_letter == pytest.approx(SLIPS)
    assert channel.stretched == slips["stretched"] / slips["all_letters"]


def test_what_has_no_keys_beside_it_is_what_it_is(channel: Channel) -> None:
    assert not channel.corrects(VOCABULARY.encode("1我"))
    assert channel.corrects(VOCABULARY.encode("1ب"))
    assert not channel.corrects(np.zeros(0, np.int64))
    assert VOCABULARY.decode(np.flatnonzero(channel.letters)) == "".join(
        c for c in VOCABULARY.characters if c in neighbours()
    )


def test_the_table_holds_letters_and_counts_alone(counts: Any) -> None:
    assert all(len(a) == len(b) == 1 and n > 0 for a, row in counts["spellings"].items() for b, n in row.items())
    assert all(row[a] == max(row.values()) or a in "آأإ" for a, row in counts["spellings"].items())

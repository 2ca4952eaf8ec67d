"""Which keys lie beside which."""

from __future__ import annotations

from kammil.keyboard import NEIGHBOURS


def test_neighbours_are_mutual_and_of_one_keyboard() -> None:
    for letter, around in NEIGHBOURS.items():
        assert letter not in around
        assert 2 <= len(around) <= 6
        assert all(letter in NEIGHBOURS[other] for other in around)
        assert len({other.isascii() for other in letter + around}) == 1


def test_keys_as_they_lie() -> None:
    assert set(NEIGHBOURS["ل"]) == set("اب" + "فغ" + "رى")
    assert set(NEIGHBOURS["a"]) == set("qwsz")

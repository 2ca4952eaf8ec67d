"""Words a minute of a simulated writer, by a published model of what keys, reading and slips cost.

Keystrokes saved (`keystrokes`) count what the fingers are spared; reading what is suggested costs time too. With
suggestions people press fewer keys and are slower (Quinn & Zhai 2016, "A cost-benefit study of text entry suggestion
interaction"); of 37,370 people those who use word prediction write more slowly on a phone than the others (Palin et al.
2019, "How do people type on mobile devices?"). On a desktop even accurate suggestions make nobody faster (Roy et al.
2021, "Typing efficiency and suggestion accuracy influence the benefits and adoption of word suggestions").

The writer of the model reads all ghost text that is *newly* shown, since it stands where they write, decides whether
it is the word wanted, and takes it if it is. What stays is not read again: ghost text of which a letter was typed. A
list stands elsewhere; the writer looks at it once a word (`keystrokes.LOOK_AFTER`), and considers its words all at
once, in the time of a choice among k + 1 (Hick 1952, Hyman 1953). Now and then the writer takes a wrong word, deletes
it and goes on.

It is a model, not a measurement: its constants come from other people, other languages and other keyboards. No time is
charged for a word that is read in passing, and no time is won by a word that is read while a finger moves. Differences
between two ways of helping are worth more than the figures themselves.

A word is five characters, spaces included, as is usual for rates of text entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kammil.evaluation.bootstrap import Array

CHARACTERS_OF_A_WORD = 5
DECISION = 0.150
"""Seconds of a choice for each bit, log2(k + 1) bits for a list of k: the uncertainty principle (Hick-Hyman law) of the
Model Human Processor (Card, Moran & Newell 1983, "The psychology of human-computer interaction", chapter 2)."""
EYE_MOVEMENT = 0.230
"""Seconds of a glance, the way and the fixation (Card, Moran & Newell 1983, chapter 2). The way back falls into the
time of the next key."""
_RECOGNITION = 0.100 + 0.070
"""Seconds to see that a wrong word stands there: a perceptual and a cognitive cycle (the same)."""


@dataclass(frozen=True)
class Device:
    """The times of one device, in seconds."""

    key: float
    """One key: the time of a character at the mean rate without help, corrections included."""
    look_at_list: float
    """A glance at a list of suggestions."""
    look_at_ghost: float
    """A glance at ghost text, which stands behind the caret."""
    keys_of_list: int
    """Keys that reach and take the first suggestion of a list; ghost text takes one."""
    keys_of_rank: int
    """Keys for each suggestion that is passed over on the way to the right one."""
    wrong: float
    """Share of the wrong suggestions read that are taken all the same."""

    @property
    def words_a_minute(self) -> float:
        """Return the rate without help."""
        return 60 / (self.key * CHARACTERS_OF_A_WORD)


DEVICES = {
    # 36.2 words a minute, 2.3 % uncorrected errors (Palin et al. 2019): wrong words are taken as often as wrong letters
    # are left. The eyes are on the keys, away from the text and from the list. A suggestion is one tap.
    "phone": Device(
        key=60 / (36.2 * CHARACTERS_OF_A_WORD),
        look_at_list=EYE_MOVEMENT,
        look_at_ghost=EYE_MOVEMENT,
        keys_of_list=1,
        keys_of_rank=0,
        wrong=0.023,
    ),
    # 51.6 words a minute, 1.2 % uncorrected errors (Dhakal et al. 2018, "Observations on typing from 136 million
    # keystrokes"). The eyes are on the text, where ghost text appears. On the page of `kammil serve` the arrow down
    # reaches the list, an arrow goes to the next word of it, and Enter takes it.
    "desktop": Device(
        key=60 / (51.6 * CHARACTERS_OF_A_WORD),
        look_at_list=EYE_MOVEMENT,
        look_at_ghost=0.0,
        keys_of_list=2,
        keys_of_rank=1,
        wrong=0.012,
    ),
}


def reading_charge(device: Device) -> float:
    """Return what it takes to read one word of ghost text and decide about it, in keys of the device."""
    return (device.look_at_ghost + DECISION) / device.key


def words_and_minutes(writing: Array, device: Device, *, ghost: bool) -> Array:
    """Return the words that each text is long and the minutes that it takes, (N, 10) -> (N, 2).

    Args:
        writing: a run with help, of `keystrokes.type_texts`.
        device: on which it is typed.
        ghost: whether the help is ghost text, or else a list.
    """
    keys, characters, _, accepted, _, ranks, read, bits, wrong, letters = writing.T
    if not ghost:
        keys = keys + accepted * (device.keys_of_list - 1) + ranks * device.keys_of_rank
    looks = read * (device.look_at_ghost if ghost else device.look_at_list)
    # A word taken by mistake: the key that takes it, its letters and its space deleted, and the moment to see it.
    mistakes = device.wrong * (wrong * (2 * device.key + _RECOGNITION) + letters * device.key)
    seconds = keys * device.key + looks + bits * DECISION + mistakes
    return np.stack([characters / CHARACTERS_OF_A_WORD, seconds / 60], axis=1)

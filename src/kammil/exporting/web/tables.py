"""Tables that suggestions need beside the weights (`suggest.js`): compiled here, so that no rule is written twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kammil.completion import (
    begun_word,
    channel,
    ghost_text,
    lattice,
    learning,
    suggestions,
    transliteration,
    unsolicited,
    word_list,
    word_search,
)
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.transliteration import Transliteration
from kammil.language_model import Ids
from kammil.languages import known, union

_CONSTANTS = {
    begun_word: "MAX_TYPED TYPED_IN_LATIN MAX_RUN SPLIT_ARTICLE_SHARE MIN_ARABIC SWITCH SURE",
    channel: "MAX_DROPPED CORRECTION_PRIOR UNLIKELY NEVER",
    ghost_text: "MAX_WORDS GHOST",
    lattice: "WIDTH MIN_SHARE",
    learning: "MAX_OPENING MIN_LETTERS MAX_CAREFUL",
    suggestions: "MAX_REPLACED",
    transliteration: "MAX_SILENT LISTED ODD",
    unsolicited: "LETTERS",
    word_list: "WORTH TWICE MIN_OF_BEST",
    word_search: "MIN_PROBABILITY MIN_ENDING_OF_COMPLETE FOREIGN MIN_FOREIGN PLACES MIN_CONTENT MAX_FOUND MAX_LEFT_OUT "
    "MAX_STATES MAX_CHARACTERS",
}


def tables(model: Completer) -> dict[str, Any]:
    """Return the tables of a model; what ids or texts lead to stands in pairs, since a JSON object would sort them."""
    classes, reader, openings = model.character_classes, model.word_reader, model.openings
    arrays, entries_of = classes.arrays, unsolicited.entries_of
    conjunctions = {"", *(language.conjunction for language in known().values())}
    religious = entries_of("formulas", "religious").by_first_word
    masks = ("begin", "continues", "words", "foreign", "digits")
    return {
        "constants": {name: getattr(room, name) for room, names in _CONSTANTS.items() for name in names.split()},
        "words": arrays and {name: array.tolist() for name, array in arrays._asdict().items()},
        "folds": classes.folds,
        "masks": {name: getattr(classes, name).astype(int).tolist() for name in masks},
        "space": classes.space,
        "spellings": [  # careful letters, these and plain ones, and id -> id in a plain spelling
            {
                "careful": kind,
                "letters": kind + plain,
                "ids": [(id, classes.plain.get(id, id)) for id in sorted(classes.careful[kind])],
            }
            for kind, plain in learning.spellings().items()
        ],
        "spelling": union("folds"),
        "longVowels": "".join(language.long_vowels for language in known().values()),
        "channel": _channel(reader.channel),
        "latin": reader.channel.latin and _latin(reader.channel.latin),
        "openings": {"words": _pairs(openings.words), "others": openings.others},
        "unsolicited": {
            **{name: _pairs(entries_of(name).by_first_word) for name in ("rulers", "formulas")},
            "religious": [word for word, entries in religious.items() if (word,) in entries],
            "functionWords": sorted(c + word for c in conjunctions for word in entries_of("function_words").last_words),
            "proclitics": sorted(unsolicited.proclitics()[0]),
        },
        "ghostRules": {name: [rule.threshold, rule.charge] for name, rule in ghost_text.GHOST_RULES.items()},
    }


def _pairs(mapping: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [*mapping.items()]


def _channel(channel: Channel) -> dict[str, Any]:
    exchanges = {
        id: [*zip(ids.tolist(), p.tolist(), (i < number for i in range(len(ids))), strict=True)]
        for id, (ids, p, number) in channel.exchanges.items()
    }
    weights = {name: getattr(channel, name) for name in ("dropped", "doubled", "stretched", "swapped", "inserted")}
    return {"exchanges": _pairs(exchanges), "letters": np.flatnonzero(channel.letters).tolist(), **weights}


def _latin(latin: Transliteration) -> dict[str, Any]:
    listed = {text: _short(p) for text, p in transliteration.listed_words().items()}
    written = [
        [[id, [[text, [*map(_short, p)]] for text, p in texts.items()]] for id, texts in each.items()]
        for each in latin.written
    ]
    silent = [_letters(each) for each in latin.silent]
    begun = [[[sign, _letters(letters)] for sign, letters in each.items()] for each in latin.begun]
    letters = {name: _pairs(getattr(latin, name)) for name in ("typed", "characters", "articles")}
    written = {"written": written, "silent": silent, "begun": begun}
    return {**letters, **written, "listed": listed, "followers": transliteration.followers()}


def _letters(letters: tuple[Ids, NDArray[np.float64]]) -> list[tuple[int, float]]:
    return [*zip(letters[0].tolist(), letters[1].tolist(), strict=True)]


def _short(p: float) -> float:
    return float(f"{p:.7g}")

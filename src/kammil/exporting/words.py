"""Word lists of a model, for spelling checkers and keyboards that cannot run it: hunspell's format and Android's.

The words are those of the messages that belong to the model, if any, and of texts that it draws, as often as it writes
them; one drawn only once may be no word, and is left out. `docs/export.md` says what the files hold.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from unicodedata import is_normalized

import numpy as np
import regex

from kammil.completion.completer import Completer
from kammil.data.blocklist import Blocklist, is_offensive
from kammil.errors import OptionError
from kammil.languages import known, script, union
from kammil.progress import steps
from kammil.text import TATWEEL, fold, role

NAMES = ("words.combined", "words.dic", "words.aff")
MAX_WORDS, MAX_LETTERS = 100_000, 47
"""Maxima of words, and of letters of a word, in Android's dictionaries."""
_DRAWN, _MIN_DRAWN = 60, 30_000
"""Characters drawn for each word of the list, and altogether."""
_TOGETHER, _LENGTH = 500, 200
"""Texts drawn together, and maximum number of characters of a text."""
_LETTERS = r"[[\p{L}\p{M}\u200c\u200d]--\p{VS}]+"
_WORD = regex.compile(rf"(?<![\w'’]){_LETTERS}(?:['’]{_LETTERS})*+(?!\w)", regex.V1)
_NOT_IN_HEADER = regex.compile(r"[,:=\s]+")
_LOCALE = regex.compile(r"[A-Za-z]{2,3}(_[A-Za-z0-9]{2,8})*")


Bigrams = dict[int, list[tuple[int, int]]]  # a word -> those that follow it, and how often


def write(model: Completer, most: int | None = None, locale: str | None = None) -> tuple[dict[str, bytes], str | None]:
    """Return the files by name, and a warning, if any; `OptionError` for a model without words."""
    most = MAX_WORDS if most is None else most
    if not 1 <= most <= MAX_WORDS:
        raise OptionError(f"words is {most}, but it must be from 1 to {MAX_WORDS}.")
    if locale is not None and not _LOCALE.fullmatch(locale):
        raise OptionError(f"locale is {locale!r}, but it must be a code such as ar or pt_BR.")
    if model.character_classes.unspaced.any():
        raise OptionError("the model writes a script without spaces, which has no words to list.")
    own, drawn = model.word_block(allow_offensive=True), _draw(model, max(most * _DRAWN, _MIN_DRAWN))
    words, frequencies, bigrams = count(model.messages(), drawn, most, own and own.blocklist)
    if not words:
        raise OptionError("the model writes no word twice, so there is none to list; train it on texts with words.")
    offensive = {i for i, word in enumerate(words) if is_offensive(word)}
    letters = "".join(words)
    written = (
        one for one in known().values() if one.script and 2 * len(script(one.script).findall(letters)) > len(letters)
    )
    named = locale or next((one.locale for one in written), "") or "und"
    warning = None if named != "und" else "the language of the words is not known; name its locale with --locale."
    name = _NOT_IN_HEADER.sub(" ", model.name)
    lines = [f"dictionary=main:{named.lower()},locale={named},description={name or 'Kammil'},"]
    lines[0] += f"date={time.time():.0f},version=54"  # keyboards want more than 18
    for i, (word, frequency) in enumerate(zip(words, frequencies, strict=True)):
        lines.append(f" word={word},f={frequency}{',possibly_offensive=true' * (i in offensive)}")
        lines += [f"  bigram={words[b]},f={f}" for b, f in bigrams.get(i, ()) if b not in offensive]
    dictionary = [str(len(words)), *(word + "/!" * (i in offensive) for i, word in enumerate(words))]
    affixes = _affixes(letters, model.vocabulary.characters)
    contents = ("".join(f"{line}\n" for line in content).encode() for content in (lines, dictionary, affixes))
    return dict(zip(NAMES, contents, strict=True)), warning


def count(
    messages: Iterable[str], drawn: Iterable[str], most: int, blocked: Blocklist | None = None
) -> tuple[list[str], list[int], Bigrams]:
    """Return the words, most frequent first, and their frequencies, alone and behind others (`_frequency`)."""
    ids, tokens = dict[str, int](), array("q")
    _read(messages, ids, tokens)
    certain = len(ids)
    _read(drawn, ids, tokens)
    written, numbers = [*ids], np.frombuffer(tokens, np.int64)
    counts = np.bincount(numbers[numbers >= 0], minlength=len(ids))
    small = np.array([ids.get(word.lower(), i) for word, i in ids.items()], np.int64)
    small = np.where(counts[small] >= counts, small, np.arange(len(ids)))  # capitals, where that is more frequent
    numbers = np.where(numbers >= 0, small[numbers] if len(ids) else -1, -1)
    counts = np.bincount(numbers[numbers >= 0], minlength=len(ids))
    kept = np.flatnonzero((counts > 1) | ((counts > 0) & (np.arange(len(ids)) < certain)))
    by_count = kept[np.argsort(-counts[kept], kind="stable")].tolist()
    listed = [i for i in by_count if blocked is None or not blocked.find(written[i])][:most]
    total = int(counts.sum())
    frequencies = [_frequency(n, total) for n in counts[listed].tolist()]
    rank = np.full(len(ids) + 1, -1)  # the last one is of no word
    rank[listed] = np.arange(len(listed))
    places = rank[numbers]
    pairs = np.stack([places[:-1], places[1:]])[:, (places[:-1] >= 0) & (places[1:] >= 0)]
    keys, times = np.unique(pairs[0] * most + pairs[1], return_counts=True)
    bigrams: Bigrams = {}
    for key in np.argsort(-times, kind="stable")[: int((times > 1).sum())].tolist():
        first, second = divmod(int(keys[key]), most)
        frequency = _frequency(int(times[key]), int(counts[listed[first]]))
        if frequency > frequencies[second]:  # else the word is not expected there
            bigrams.setdefault(first, []).append((second, frequency))
    return [written[i] for i in listed], frequencies, bigrams


def _read(texts: Iterable[str], ids: dict[str, int], tokens: array[int]) -> None:
    """Number the words of texts; -1 stands where more than a space is between two."""
    for text in texts:
        before = None
        for match in _WORD.finditer(text):
            word, (begin, end) = match[0], match.span()
            if before != begin - 1 or text[begin - 1] != " ":
                tokens.append(-1)
            if len(word) <= MAX_LETTERS and is_normalized("NFKC", word):
                tokens.append(ids.setdefault(word, len(ids)))
                before = end
        tokens.append(-1)


def _draw(model: Completer, characters: int) -> Iterator[str]:
    drawn, seed, step = 0, 0, steps("drawing texts", max(1, characters // 1000))
    while drawn < characters:
        for text in model.samples("", _TOGETHER, temperature=1.0, length=_LENGTH, seed=seed, allow_offensive=True):
            drawn += len(text.text) + 1
            if drawn // 1000 > (drawn - len(text.text) - 1) // 1000:
                step()
            cut = text.finish_reason == "length"
            yield text.text[: text.text.rfind(" ") + 1] if cut else text.text
        seed += 1


def _frequency(times: int, total: int) -> int:
    """Return how frequent something is from 1 to 255, where 8 less are half as many."""
    return max(1, 255 + round(8 * math.log2(times / total)))


def _affixes(letters: str, characters: Iterable[str]) -> list[str]:
    """Return hunspell's settings: no affixes, but which letters words have, and which are taken for another."""
    marks = "".join(c for c in characters if role(c) in ("mark", "joiner")) + TATWEEL
    points = "".join(c for c in marks if not fold(c))
    used = "".join(letter for letter, _ in Counter(letters).most_common() if letter not in points)
    signs = marks + "".join(c for c in used if c not in marks and not c.isalpha())
    alike: dict[str, str] = {}
    for letter, other in (*union("respelt").items(), *union("respelt_last").items()):
        if letter in used and other in used and other not in alike.get(letter, ""):
            alike[other] = alike.get(other, other) + letter
    rows = [row for one in known().values() for row in one.keyboard if set(row) & set(used)]
    lines = ["SET UTF-8", "NOSUGGEST !", f"TRY {used}", f"KEY {'|'.join(rows)}"]
    lines += [f"WORDCHARS {signs}", f"IGNORE {points}", f"MAP {len(alike)}"]
    return lines + [f"MAP {group}" for group in alike.values()]

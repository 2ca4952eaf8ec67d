"""Lists of blocked words (docs/offensive-words.md), and an automaton that finds them, and says where to be silent.

It can stop anywhere and go on: half of a word may be typed, and half added. After an offensive word, or one of
`silence.tsv`, that was typed nothing may follow for a while; `harmless` entries end that where they match or are known.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast, get_args

import regex

from kammil.errors import DataError
from kammil.languages import Affixes, known, pooled, script, union
from kammil.text import TATWEEL

Form = Literal["stem", "noun", "word"]
_MAX_LIST = 1 << 16
"""Bytes of a user's list."""
_MAX_WORDS = 6
"""Maximum number of words of an entry."""
_TAIL, _MAX_TAIL = 96, 96 << 7
"""Final characters that make a text's state: at least as many, and at most, in powers of two, until they hold enough
words. 96 hold them as a rule."""
_MAX_STATES = 10_000  # beyond them states do not tell which words silence, but for how long
SEPARATOR, _MARK = " ", "~"
_OWN, _HARMLESS, _RULER = "own", "harmless", "ruler"
_SILENT_WORDS = {_OWN: 0, _HARMLESS: 0, _RULER: 0, "self-harm": 8}
"""Number of words after an entry of a kind until help comes back."""
_SILENT_WORDS_AFTER_OTHERS = 2
_TAIL_WORDS = _MAX_WORDS + max(_SILENT_WORDS.values())
"""Number of last words that tell where a text is silent, behind one that may be cut."""
_WORD = regex.compile(r"[[\p{L}\p{N}]--\p{Lm}--[\uFC5E-\uFE7F]][\p{L}\p{N}\p{M}\p{Cf}]*", regex.VERSION1)
"""A word with a letter, or more of them: `fold_character` leaves nothing of some letters."""
_AT_ONCE = ("self-harm", "threat")
"""Kinds that silence where they end, though other words begin like that."""
_ALTERNATIVES, _CHOICES = regex.compile(r"\(([^()]*)\)"), regex.compile(r"\{([^{}]*)\}")
_PATTERN_SIGNS, _SEPARATORS = regex.compile(r"[(){}|~]"), regex.compile(" +")


@dataclass(frozen=True)
class BlockedWord:
    """An entry of a list."""

    pattern: str
    kind: str = _OWN
    """`sexual`, `insult`, `hate` (against a sect, people, sex or origin), `threat`, `self-harm`, or `harmless`."""
    language: str = ""
    """A language or variety, such as `levantine` or `arabizi`."""
    form: Form = "noun"


def read_list(content: str, name: str, *, patterns: bool = False) -> tuple[BlockedWord, ...]:
    """Read a list; `DataError` names the first wrong line. Only trusted lists have `patterns`: one may stand for
    millions of words."""
    entries: list[BlockedWord] = []
    for number, line in enumerate(content.splitlines(), 1):
        fields = [field.strip() for field in line.lstrip("\ufeff").rstrip().split("\t")]
        if not fields[0] or fields[0].startswith("#"):
            continue
        if len(fields) > 4 or (len(fields) == 4 and fields[3] not in get_args(Form)):
            raise DataError(
                f"line {number} of {name} is no entry; write a word, or entry, kind, language and form "
                f"({', '.join(get_args(Form))}) with tabs between them."
            )
        for pattern in _expanded(fields[0], _CHOICES) if patterns else [_PATTERN_SIGNS.sub(SEPARATOR, fields[0])]:
            entry = BlockedWord(pattern, *cast(tuple[str, str, Form], fields[1:]))
            if not any(min(len(choice.strip()) for choice in part) for part in _folded_parts(pattern)):
                raise DataError(f"line {number} of {name} has no letters, so it blocks nothing; remove it.")
            entries.append(entry)
    return tuple(entries)


def read_list_file(path: Path) -> tuple[BlockedWord, ...]:
    """Read a user's list; `DataError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_LIST + 1)
        if len(content) > _MAX_LIST:
            raise DataError(f"{path} has more than {_MAX_LIST} bytes, which is no list of words; shorten it.")
        return read_list(content.decode("utf-8"), str(path))
    except FileNotFoundError as error:
        raise DataError(f"there is no list of words at {path}; write its words there, one a line.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of words {path} cannot be read as UTF-8 text: {error}.") from error


def spellings(entry: BlockedWord) -> list[str]:
    """Return the spellings of an entry, without affixes."""
    return _expanded(entry.pattern.replace(_MARK, ""), _ALTERNATIVES)


def _expanded(pattern: str, brackets: regex.Pattern[str]) -> list[str]:
    parts = [part.split("|") if i % 2 else [part] for i, part in enumerate(brackets.split(pattern))]
    return ["".join(choice) for choice in product(*parts)]


def _folded_parts(pattern: str) -> list[list[str]]:
    cut = enumerate(_ALTERNATIVES.split(pattern))
    parts = [[*map(_folded, part.split("|"))] if i % 2 else [_folded(part)] for i, part in cut if part or i % 2]
    parts[0] = [choice.lstrip(SEPARATOR) for choice in parts[0]]
    parts[-1] = [choice.rstrip(SEPARATOR) for choice in parts[-1]]
    return parts


@pooled
def _folded(choice: str) -> str:
    return _SEPARATORS.sub(SEPARATOR, "".join(c if c == _MARK else fold_character(c) for c in choice))


@pooled
def fold_character(character: str) -> str:
    """Return the letters and digits of a character, a space for a separator, or ""."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or character == TATWEEL:
        return ""
    folded = ""
    for part in unicodedata.normalize("NFKD", character).casefold():
        kind = unicodedata.category(part)
        if kind[0] == "L" and kind != "Lm":
            folded += union("block_folds").get(part) or union("folds").get(part, part)
        elif kind[0] == "N":
            folded += str(unicodedata.digit(part, part))
        elif kind not in ("Mn", "Me"):
            folded += SEPARATOR
    return folded or SEPARATOR


@dataclass(frozen=True)
class Match:
    """A blocked word in a text."""

    begin: int
    end: int
    entry: BlockedWord


@pooled
def offensive_words() -> Blocklist:
    """Return all languages' offensive words."""
    return Blocklist(_entries("offensive.tsv"))


@pooled
def silent_words() -> Blocklist:
    """Return all languages' words of self-harm, which no option allows, and harmless phrases that hold one."""
    return Blocklist(_entries("silence.tsv"))


@pooled
def blocked_words() -> Blocklist:
    """Return the words that are not written by default: `silent_words`, then `offensive_words`."""
    return Blocklist([*silent_words().entries, *offensive_words().entries])


@pooled
def rulers() -> tuple[BlockedWord, ...]:
    """Return the names of `rulers.txt`, known by the third letter of a surname, and which no completion writes."""
    names = ((language, line) for language in known().values() for line in language.entries("rulers"))
    patterns = (
        regex.sub(rf"(?<= )(?:{one.article})?\S\S(?=\S+$)", rf"\g<0>{_MARK}", regex.sub(f"^{one.article}", "", name))
        for one, name in names
    )
    return tuple(BlockedWord(pattern, _RULER, form="stem") for pattern in patterns)


def _entries(file: str) -> list[BlockedWord]:
    lists = (language.read(file) for language in known().values())
    return [entry for words in lists for entry in read_list(words, file, patterns=True)]


def is_offensive(text: str) -> bool:
    """Return whether a text holds an offensive word."""
    return bool(offensive_words().find(text))


def _tail(text: str) -> str:
    size = _TAIL
    while size < min(len(text), _MAX_TAIL) and len(_WORD.findall(text[-size:])) <= _TAIL_WORDS:
        size *= 2
    return text[-size:]


_NO_AFFIXES = Affixes()


def _affixes(entry: BlockedWord) -> Affixes:
    named = [language for name, language in known().items() if entry.language in (name, *language.labels)]
    languages = named or known().values()
    choices = (affixes for language in languages for affixes in language.affixes)
    return next((affixes for affixes in choices if script(affixes.script).search(entry.pattern)), _NO_AFFIXES)


_NEVER = 1 << 30
"""In place of the letter from which an entry is known, where there is none."""
_Positions = frozenset[int]
_Recent = frozenset[tuple[int, int]]
"""Numbers of entries after which there is silence, and of words since."""
_Typed = Literal["", "typed", "silent"]
"""Whether the last word was typed, which never blocks, and whether nothing may follow."""


def _position(node: int, number: int = 0) -> int:
    """Pack a node and an entry's number, 0 for none yet: sets of integers are quick."""
    return node << 16 | number


class _Graph:
    """Prefixes, entries and endings as one non-deterministic automaton."""

    def __init__(self) -> None:
        self.children: list[dict[str, int]] = []
        self.letter: list[str] = []
        """On the edge into each node."""
        self.known: dict[int, dict[str, set[int]]] = {}
        """Numbers of the entries that become known, by node and letter."""
        self.arrivals: dict[int, list[int]] = {}  # epsilon transitions

    def add(self, letter: str = "") -> int:
        self.children.append({})
        self.letter.append(letter)
        return len(self.letter) - 1

    def insert(self, node: int, string: str, known: int = _NEVER, number: int = 0) -> int:
        """Add the path of a string, with entry `number` known from letter `known` on; return its end."""
        for i, letter in enumerate(string):
            if i >= known:
                self.known.setdefault(node, {}).setdefault(letter, set()).add(number)
            if letter not in self.children[node]:
                self.children[node][letter] = self.add(letter)
            node = self.children[node][letter]
        return node

    def insert_all(self, strings: Iterable[str]) -> tuple[int, set[int]]:
        root = self.add()
        return root, {self.insert(root, _folded(string)) for string in sorted(strings)}

    def join(self, nodes: Iterable[int], position: int) -> None:
        for node in nodes:
            self.arrivals.setdefault(node, []).append(position)

    def insert_pattern(self, node: int, parts: Sequence[Sequence[str]], number: int, *, by_last_letter: bool) -> int:
        """Add a pattern behind a node; return where its paths meet."""
        marked = False
        for i, choices in enumerate(parts):
            ends = set[int]()
            for choice in choices:
                before, mark, after = choice.partition(_MARK)
                last = len(before) - 1 if by_last_letter and i == len(parts) - 1 else _NEVER
                known = 0 if marked else len(before) if mark else last
                ends.add(self.insert(node, before + after, known, number))
            marked = marked or any(_MARK in choice for choice in choices)
            node = min(ends) if len(ends) == 1 else self.add()
            self.join(ends - {node}, _position(node))
        return node


class Blocklist:
    """Entries as a deterministic automaton by lazy subset construction; a state is a number."""

    def __init__(self, entries: Iterable[BlockedWord]) -> None:
        self.entries = self._numbered = tuple(entries)
        kinds = [(number, entry.kind) for number, entry in enumerate(self.entries, 1)]
        words = {number: _SILENT_WORDS.get(kind, _SILENT_WORDS_AFTER_OTHERS) for number, kind in kinds}
        self._silent_words = {number: most for number, most in words.items() if most}
        self._harmless = frozenset(number for number, kind in kinds if kind == _HARMLESS)
        self._at_once = frozenset(number for number, kind in kinds if kind in _AT_ONCE)
        self._dropped = self._harmless
        """Numbers, from 1, of absent entries, and of those that block nothing."""
        self._graph = graph = _Graph()
        bare, complete, self._any = graph.add(), graph.add(), graph.add()  # the last one: any letters behind a stem
        starts, self._ends = [bare], {complete, self._any}
        roots, endings = dict[Affixes, int](), dict[tuple[str, ...], int]()
        for number, entry in enumerate(self.entries, 1):
            affixes, parts = _affixes(entry), _folded_parts(entry.pattern)
            if entry.form != "word" and affixes not in roots:
                start, prefixed = graph.insert_all(("", *affixes.prefixes))
                starts.append(start)
                roots[affixes] = graph.add()
                graph.join(prefixed, _position(roots[affixes]))
            behind = self._any if entry.form == "stem" else complete
            if entry.form == "noun":
                choices, last = ("", *affixes.endings), parts[-1][0]
                if len(parts[-1]) == 1 and len(last) > 1 and last[-1] in affixes.endings_for:
                    choices, parts[-1] = tuple(affixes.endings_for[last[-1]]), [last[:-1]]
                if choices not in endings:
                    endings[choices], ends = graph.insert_all(choices)
                    self._ends |= ends
                behind = endings[choices]
            root = bare if entry.form == "word" else roots[affixes]
            by_last_letter = entry.form == "stem" and _MARK not in entry.pattern
            end = graph.insert_pattern(root, parts, number, by_last_letter=by_last_letter)
            graph.join([end], _position(behind, number))
        self._new_word = self._arrived(map(_position, starts))
        self._known: dict[int, set[int]] = {}
        """Numbers of the entries that are known at a node."""
        for node, letters in graph.known.items():
            for letter, numbers in letters.items():
                self._known.setdefault(graph.children[node][letter], set()).update(numbers)
        self._states: dict[tuple[_Positions, _Recent, _Typed], int] = {}
        self._keys: list[tuple[_Positions, _Recent, _Typed]] = []
        self._blocked: dict[int, bool] = {}
        self._started: dict[int, int] = {}
        self._refused: dict[int, tuple[frozenset[str] | None, bool]] = {}
        self._next: list[dict[str, int]] = []
        self._lock = threading.Lock()  # threads share a list
        self._nowhere, self._begin = self._state(frozenset()), self._state(self._new_word)

    def graph(self) -> dict[str, Any]:
        """Return the automaton for `exporting/web/blocked.js`; entries have the numbers of their order, from 1."""
        graph = self._graph
        known = {node: {letter: sorted(n) for letter, n in known.items()} for node, known in graph.known.items()}
        return {
            "letters": graph.letter,
            "children": [[*each.values()] for each in graph.children],
            "known": known,
            "arrivals": graph.arrivals,
            "any": self._any,
            "ends": [*self._ends],
            "begin": [*self._new_word],
            "silentWords": self._silent_words,
            "harmless": sorted(self._harmless),
            "atOnce": sorted(self._at_once),
        }

    def start(self, text: str) -> int:
        """Return the state after a typed text. An own word at its end does not block; another silences if it can
        become no other one."""
        tail = _tail(text)
        state = self._nowhere if len(tail) < len(text) else self._begin  # what is cut may end within a word
        state = reduce(self.after, tail, state)
        if state not in self._started:
            positions, recent, _ = self._keys[state]
            ended = self._ended(positions)
            known = {position & 0xFFFF for position in positions if position >> 16 == self._any} | ended & self._at_once
            known = known.union(*(self._known.get(position >> 16, ()) for position in positions))
            silent = known.intersection(self._silent_words).union(number for number, _ in recent) - self._dropped
            typed: _Typed = "typed" if ended and not ended.intersection(self._silent_words) - self._dropped else ""
            if silent and known.isdisjoint(self._harmless):
                typed = "silent"
            with self._lock:
                self._started[state] = self._state(positions, recent, typed)
        return self._started[state]

    def after(self, state: int, character: str) -> int:
        """Return the state after one more character."""
        known = self._next[state]
        try:
            return known[character]
        except KeyError:
            folded = fold_character(character)
        if folded not in known:
            positions, recent, typed = self._keys[state]
            for letter in folded:
                if letter == SEPARATOR and not self._new_word <= positions:
                    recent = self._after_word(positions, recent)
                positions, typed = self._stepped(positions, letter), ""
            with self._lock:
                known[folded] = self._state(positions, recent, typed)
        known[character] = known[folded]
        return known[folded]

    def either(self, state: int, other: int) -> int:
        """Return the state of a text that is either of two."""
        (one, recent, typed), (two, more, _) = self._keys[state], self._keys[other]
        with self._lock:
            return self._state(one | two, recent | more, "silent" if self.silent(other) else typed)

    def blocked(self, state: int) -> bool:
        """Return whether a blocked word would stand here if the text or its last word ended."""
        if state not in self._blocked:
            self._blocked[state] = not self._keys[state][2] and bool(self.matching(state))
        return self._blocked[state]

    def silent(self, state: int) -> bool:
        """Return whether nothing may follow here."""
        return self._keys[state][2] == "silent"

    def refused(self, state: int) -> tuple[frozenset[str] | None, bool]:
        """Return the folded letters that must not follow (None: none may), and whether the word must not end."""
        if state not in self._refused:  # ligatures ask again
            self._refused[state] = self._letters_refused(self._keys[state][0]), self.blocked(state)
        return self._refused[state]

    def _letters_refused(self, positions: _Positions) -> frozenset[str] | None:
        dropped = self._dropped
        if any(position >> 16 == self._any and position & 0xFFFF not in dropped for position in positions):
            return None
        known = [self._graph.known[position >> 16] for position in positions if position >> 16 in self._graph.known]
        letters = (letter for each in known for letter, numbers in each.items() if not numbers <= dropped)
        return frozenset(letters)

    def idle(self, state: int) -> bool:
        """Return whether no entry can end before the next separator."""
        return state == self._nowhere

    def matching(self, state: int) -> list[BlockedWord]:
        """Return the entries that end here."""
        return [self._numbered[number - 1] for number in self._ended(self._keys[state][0]) - self._dropped]

    def entries_in(self, text: str) -> set[BlockedWord]:
        """Return the entries found in a text."""
        return {entry for *_, state in self._ends_in(text) for entry in self.matching(state)}

    def find(self, text: str) -> list[Match]:
        """Return the blocked words of a text, in order; the shortest of each end."""
        return [self._match(text, begins, end) for begins, end, _ in self._ends_in(text)]

    def without(self, exempt: Iterable[BlockedWord]) -> Blocklist:
        """Return the list without some entries; both share their states."""
        dropped = set(exempt)
        if not dropped:
            return self
        shorter = copy(self)
        shorter.entries = tuple(entry for entry in self.entries if entry not in dropped)
        numbers = (number for number, entry in enumerate(self._numbered, 1) if entry in dropped)
        shorter._dropped = self._dropped.union(numbers)
        shorter._blocked, shorter._started, shorter._refused = {}, {}, {}
        return shorter

    def _ends_in(self, text: str) -> Iterator[tuple[list[int], int, int]]:
        """Yield begins of words so far, end of a blocked one, and state."""
        state, begins, end, in_word = self._begin, list[int](), 0, False
        for i, character in enumerate((*text, SEPARATOR)):
            folded = fold_character(character)
            if folded and folded != SEPARATOR:
                if not in_word:
                    begins.append(i)
                in_word, end = True, i + 1
            elif folded and in_word:
                in_word = False
                if self.blocked(state):
                    yield begins, end, state
            state = self.after(state, character)

    def _match(self, text: str, begins: Sequence[int], end: int) -> Match:
        for begin in reversed(begins[-_MAX_WORDS:]):
            state = reduce(self.after, text[begin:end], self._begin)
            if self.blocked(state):
                return Match(begin, end, max(self.matching(state), key=lambda entry: len(entry.pattern)))
        raise AssertionError("the text does not end with a blocked word")

    def _ended(self, positions: _Positions) -> frozenset[int]:
        """Return the numbers of the entries that end here, absent ones too."""
        return frozenset(position & 0xFFFF for position in positions if position >> 16 in self._ends)

    def _after_word(self, positions: _Positions, recent: _Recent) -> _Recent:
        """Return what silences after the word that ends here."""
        ended = self._ended(positions)
        if ended & self._harmless:
            return frozenset()
        new = frozenset((number, 0) for number in ended.intersection(self._silent_words))
        return new.union((number, n + 1) for number, n in recent if n + 1 < self._silent_words[number])

    def _stepped(self, positions: _Positions, letter: str) -> _Positions:
        children, letters, any_letter = self._graph.children, self._graph.letter, self._any
        reached = set[int]()
        for position in positions:
            node = position >> 16
            if letter in children[node]:
                reached.add(children[node][letter] << 16 | position & 0xFFFF)
            if letter == letters[node] or (node == any_letter and letter != SEPARATOR):
                reached.add(position)
        after = self._arrived(reached)
        return after | self._new_word if letter == SEPARATOR else after

    def _arrived(self, reached: Iterable[int]) -> _Positions:
        positions = set(reached)
        pending = [*positions]
        while pending:
            position = pending.pop()
            if not position & 0xFFFF:  # on the way to any entry
                further = set(self._graph.arrivals.get(position >> 16, ())) - positions
                positions |= further
                pending += further
        return frozenset(positions)

    def _state(self, positions: _Positions, recent: _Recent = frozenset(), typed: _Typed = "") -> int:
        if recent and len(self._keys) >= _MAX_STATES:
            longest = max(self._silent_words, key=self._silent_words.__getitem__)
            left = max(self._silent_words[number] - since for number, since in recent)
            recent = frozenset({(longest, self._silent_words[longest] - left)})
        key = positions, recent, typed
        if key not in self._states:
            number = len(self._keys)
            self._next[number:] = [{}]
            self._keys.append(key)
            self._states[key] = number  # last: an interrupt leaves no state half made
        return self._states[key]

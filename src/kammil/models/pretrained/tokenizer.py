"""A pretrained model's own tokenizer: texts to tokens, and which runs of its tokens are text.

Byte vocabularies (GPT-2, Llama 3) write each byte with a stand-in; SentencePiece (Llama 2) writes ▁ for a space and
`<0x41>` for a byte, and puts a space before every text. Where a tokenizer changes letters, the longest tokens that
spell the text are taken. Marks of word ends or insides (`</w>`, `##`) are not supported.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer

from kammil.errors import OptionError
from kammil.language_model import Ids
from kammil.models.pretrained.model import TokenUnits
from kammil.models.subwords.model import UnitVocabulary
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary, rare_characters

Run = tuple[int, ...]
"""The shortest sequence of tokens that is whole text."""

_SPACE = "▁"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_NO_TEXT = b"\xff"
"""A byte that UTF-8 never has."""
_MAX_RUNS = 1 << 16
"""Maximum number of runs of several tokens that become units."""


def _visible_bytes() -> dict[str, int]:
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _visible_bytes()


class SubwordTokenizer:
    """Cuts texts into tokens of a pretrained model; `OptionError` for a tokenizer of another kind.

    Args:
        content: JSON text of the library `tokenizers`.
        size: number of tokens that the network predicts.
        bos, eos: one may be missing.
    """

    def __init__(self, content: str, size: int, *, bos: int | None, eos: int | None, unknown: int | None) -> None:
        self._tokenizer, self.size = Tokenizer.from_str(content), size
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        kinds = {str(part.get("type")): part for part in _decoders(json.loads(content).get("decoder"))}
        replaced = kinds.get("Replace", {}).get("pattern") == {"String": _SPACE}
        self._of_bytes, pieces = "ByteLevel" in kinds, "Metaspace" in kinds or replaced
        if not self._of_bytes and not pieces:
            raise OptionError(
                "the base's tokenizer is neither one of bytes, as GPT-2's, nor one of the SentencePiece kind, as "
                "Llama's; name another base."
            )
        if bos is None and eos is None:
            raise OptionError("the base has no token for the begin or the end of a text; name another base.")
        self.bos, self.eos = cast(int, eos if bos is None else bos), cast(int, bos if eos is None else eos)
        self.spelled = self._spelled()
        self.unknown = self._unknown(unknown)
        self.puts_space = any((self.spelled[token] or b"").startswith(b" ") for token in self._tokens("a")[:1])
        """Whether a space is put before every text."""

    def _spelled(self) -> list[bytes | None]:
        spelled: list[bytes | None] = [None] * self.size
        for token, id in self._tokenizer.get_vocab(with_added_tokens=False).items():
            if id < self.size:
                spelled[id] = self._bytes_of(token)
        for id, added in self._tokenizer.get_added_tokens_decoder().items():
            if id < self.size:
                spelled[id] = None if added.special else added.content.encode()
        for id in (self.bos, self.eos):
            spelled[id] = None
        return spelled

    def _bytes_of(self, token: str) -> bytes | None:
        if self._of_bytes:
            return bytes(_BYTES[c] for c in token) if all(c in _BYTES for c in token) else None
        if byte := _BYTE.fullmatch(token):
            return bytes([int(byte[1], 16)])
        return token.replace(_SPACE, " ").encode("utf-8", "surrogatepass")

    def _unknown(self, named: int | None) -> int:
        """Choose the tokenizer's own, the replacement character if one token, or a byte that no text has."""
        if named is not None and named < self.size and named not in (self.bos, self.eos):
            return named
        replacement = self._tokens("\N{REPLACEMENT CHARACTER}")
        if len(replacement) == 1 and replacement[0] not in (self.bos, self.eos):
            return replacement[0]
        if _NO_TEXT in self.spelled:
            return self.spelled.index(_NO_TEXT)
        raise OptionError("the base has no token for an unknown character; name another base.")

    def _tokens(self, text: str) -> list[int]:
        if any("\ud800" <= character <= "\udfff" for character in text):
            return []
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _joined(self, tokens: Sequence[int]) -> bytes | None:
        parts = [self.spelled[token] if token < self.size else None for token in tokens]
        return None if None in parts else b"".join(cast(list[bytes], parts))

    @cached_property
    def whole(self) -> dict[str, int]:
        """Tokens that are text alone, by text; of several, the tokenizer's choice."""
        found: dict[str, list[int]] = {}
        for token, spelled in enumerate(self.spelled):
            if spelled and token != self.unknown and (text := _text(spelled)) is not None:
                found.setdefault(text, []).append(token)
        return {text: tokens[0] if len(tokens) == 1 else self._own(text, tokens) for text, tokens in found.items()}

    def _own(self, text: str, tokens: Sequence[int]) -> int:
        used = self._tokens(text)
        return next((token for token in used if token in tokens), tokens[-1])

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.whole), default=1)

    def runs(self, text: str, *, begins: bool) -> list[Run]:
        """Cut a text, or the rest of one unless it `begins`, into runs that spell it."""
        if not text:
            return []
        spaced = self.puts_space and begins
        if begins or not self.puts_space:
            tokens = self._tokens(text)
            if self._joined(tokens) == (" " * spaced + text).encode("utf-8", "surrogatepass"):
                return self._grouped(tokens)
        return self._longest_tokens(" " * spaced + text)

    def _grouped(self, tokens: Sequence[int]) -> list[Run]:
        runs, run, spelled = list[Run](), list[int](), b""
        for token in tokens:
            run.append(token)
            spelled += cast(bytes, self.spelled[token])
            if _text(spelled) is not None:
                runs.append(tuple(run))
                run, spelled = [], b""
        return runs

    def _longest_tokens(self, text: str) -> list[Run]:
        runs, at = list[Run](), 0
        while at < len(text):
            ends = range(min(len(text), at + self._longest), at, -1)
            end = next((end for end in ends if text[at:end] in self.whole), at + 1)
            runs.append(self.spell(text[at:end]))
            at = end
        return runs

    def spell(self, text: str) -> Run:
        """Return the tokens of a token's text or of a character, or the unknown token."""
        if text in self.whole:
            return (self.whole[text],)
        wanted = text.encode("utf-8", "surrogatepass")
        tokens = self._tokens(text)
        if self.puts_space and tokens and self.spelled[tokens[0]] == b" ":
            tokens = tokens[1:]
        if tokens and self._joined(tokens) == wanted:
            return tuple(tokens)
        singles = [self.spelled.index(bytes([b])) if bytes([b]) in self.spelled else None for b in wanted]
        return (self.unknown,) if None in singles else tuple(cast(list[int], singles))


@dataclass(frozen=True)
class Segmentation:
    """Texts as the network learns them, and their units."""

    units: TokenUnits
    train: Sequence[Ids]
    """`SPECIALS` + token, or a special id; half of the characters of only one text are UNK, to be learnt."""
    validation: Sequence[Ids]
    widths: Ids
    """Characters that begin in each id, (SPECIALS + T,): a text and its end sum to its length + 1."""


def segment(
    tokenizer: SubwordTokenizer,
    train: Sequence[Ids],
    validation: Sequence[Ids],
    vocabulary: CharacterVocabulary,
) -> Segmentation:
    """Cut texts into tokens, and choose units."""
    known = set(vocabulary.characters)
    hidden = sorted(rare_characters([vocabulary.decode(ids) for ids in train]))[::2]
    hidden_ids = vocabulary.encode("".join(hidden))
    shown = [np.where(np.isin(ids, hidden_ids), UNK, ids) for ids in train]
    alone = {character: tokenizer.spell(character) for character in vocabulary.characters}
    unspelled = {id for id, run in enumerate(alone.values(), SPECIALS) if run == (tokenizer.unknown,)} | {UNK}
    cut_train, cut_validation = (
        [_cut(tokenizer, ids, vocabulary, unspelled) for ids in part] for part in (shown, validation)
    )

    spelled: dict[str, Run] = {text: (token,) for text, token in tokenizer.whole.items() if known.issuperset(text)}
    counts = Counter(run for text in cut_train for run in text)
    several = sorted((run for run in counts if len(run) > 1), key=lambda run: (-counts[run], run))[:_MAX_RUNS]
    for run in several:
        text = _text(b"".join(cast(bytes, tokenizer.spelled[token]) for token in run)) or ""
        if known.issuperset(text):
            spelled.setdefault(text, run)
    spelled |= alone

    longer = sorted(tuple(vocabulary.encode(text).tolist()) for text in spelled if len(text) > 1)
    of_ids = {tuple(vocabulary.encode(text).tolist()): run for text, run in spelled.items()}
    special = {PAD: (), UNK: (tokenizer.unknown,), BOS: (tokenizer.bos,), EOS: (tokenizer.eos,)}
    tokens: list[Run] = [special[id] if id in special else of_ids[(id,)] for id in range(vocabulary.size)]
    tokens += [of_ids[unit] for unit in longer]
    weight = {unit: counts[run] + 1 for unit, run in enumerate(tokens) if unit not in (PAD, BOS)}
    claimed = Counter[int]()
    for unit, count in weight.items():
        claimed[tokens[unit][0]] += count
    shares = np.zeros(len(tokens), np.float32)
    for unit, count in weight.items():
        shares[unit] = count / claimed[tokens[unit][0]]

    spaced = tokenizer.puts_space and " " in known
    prefix = vocabulary.encode(" ") if spaced else np.zeros(0, np.int64)
    begun = (sum(byte & 0xC0 != 0x80 for byte in each or b"") for each in tokenizer.spelled)  # characters
    widths = np.array([0, 1, 1, 0 if spaced else 1, *begun], np.int64)
    units = TokenUnits(UnitVocabulary(vocabulary.size, longer), tokens, shares, prefix)
    return Segmentation(
        units, [_ids(text, tokenizer) for text in cut_train], [_ids(text, tokenizer) for text in cut_validation], widths
    )


def _cut(tokenizer: SubwordTokenizer, ids: Ids, vocabulary: CharacterVocabulary, unspelled: set[int]) -> list[Run]:
    """Cut a text into runs; each unknown or unspelled character is its own run."""
    spaced = tokenizer.puts_space and " " in vocabulary.characters
    begins, runs = not tokenizer.puts_space or spaced, list[Run]()
    for unknown, part in groupby(ids.tolist(), key=lambda id: id in unspelled):
        piece = list(part)
        if unknown:
            runs += ([tokenizer.spell(" ")] if spaced and begins else []) + [(tokenizer.unknown,)] * len(piece)
        else:
            runs += tokenizer.runs(vocabulary.decode(piece), begins=begins)
        begins = False
    return runs or ([tokenizer.spell(" ")] if spaced else [])


def _ids(runs: Sequence[Run], tokenizer: SubwordTokenizer) -> Ids:
    tokens = np.array([token for run in runs for token in run], np.int64)
    return np.where(tokens == tokenizer.unknown, UNK, tokens + SPECIALS)


def _decoders(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        found = cast(dict[str, Any], part)
        if found.get("type") == "Sequence":
            for each in found.get("decoders", []):
                yield from _decoders(each)
        else:
            yield found


def _text(spelled: bytes) -> str | None:
    try:
        return spelled.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None

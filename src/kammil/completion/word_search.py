"""The search for words: the k most probable closed words, or pieces of text, after a prefix.

No word is more probable than its beginnings, so a beginning less probable than the threshold, or than the k best words
so far, is dropped with all its words (branch and bound). All beginnings of one length are one step of the model; up to
`MAX_STATES` are kept, so a list may miss a word, but its probabilities are exact. Shapes: R prefixes, N beginnings, V
vocabulary.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kammil.completion.begun_word import BegunWord
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.unsolicited import is_function_word
from kammil.completion.word_list import MAX_PIECE, FoundWord, Openings, WordList, choose_pieces, is_stretched
from kammil.decoding.refusals import NO_REFUSALS, Refusals, States
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.engine.layout import CAREFUL
from kammil.engine.native import NativeEngine, WordQuery
from kammil.errors import FolderError
from kammil.language_model import (
    Ids,
    LanguageModel,
    LogProbabilities,
    State,
    concat_states,
    max_rows,
    select_rows,
)
from kammil.text import ends_unspaced, open_word

MIN_PROBABILITY = 0.01
"""Minimum probability of a suggestion (docs/log.md#which-threshold-and-when-is-the-next-word-offered)."""
MIN_ENDING_OF_COMPLETE = 0.05
"""Minimum probability of an ending of a probably complete word (docs/log.md#what-comes-after-a-whole-word)."""
FOREIGN, MIN_FOREIGN = 20, 0.2
"""Factor of the threshold for foreign scripts, and probability that is always enough
(docs/log.md#can-arabic-be-typed-in-latin-letters)."""
PLACES, MIN_CONTENT, MAX_FOUND = 3, 1 / 3, 12
"""Number of first places, one for a word of content; its minimum probability as a share of the word there or the
threshold; and number of words searched for it."""
MAX_LEFT_OUT = 2
"""Number of words searched in place of religious ones that are left out at the start of a text."""
MAX_STATES = 12
"""Maximum number of beginnings of one length; lists of three hold 99.96 % of the true ones' probability."""
MAX_NATIVE = 64
"""Maximum number of beginnings of one length, of words, and of their characters, that the native engine searches."""
MAX_CHARACTERS = 32
"""Maximum number of characters of a suggestion."""

_Floats = NDArray[np.float32]
_Flags = NDArray[np.bool_]


class Root(NamedTuple):
    """A beginning of words."""

    prefix: int
    """Index of its prefix."""
    weight: float
    """Its probability, given the prefix."""
    allowed: _Flags
    """(V,): ids that may come first."""
    refusal_states: States
    is_piece: bool = False
    """Whether it ends in an unspaced letter."""
    replacement: tuple[int, ...] = ()
    """Ids in place of what was typed."""
    num_replaced: int = 0


@dataclass(frozen=True)
class SearchRoots:
    """Where a search begins, N rows of the model."""

    roots: list[Root]
    p: _Floats
    """(N, V): of what follows each."""
    state: State

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the weight of each, (N,)."""
        return np.array([root.weight for root in self.roots])


def _first_ids(prefix: str, p: _Floats, classes: CharacterClasses, *, is_piece: bool) -> _Flags:
    """Return which ids may come first, (V,): in a word those that continue it, else those that begin one, or the space,
    never both, so that no word is suggested twice; none in a word of unknown letters."""
    if word := open_word(prefix):
        if not classes.knows(word):
            return np.zeros_like(classes.begin)
        # Digits behind a number say nothing.
        return (classes.continues & ~(classes.digits & word.isdecimal())) | classes.unspaced
    space = np.arange(len(p)) == classes.space
    first = space if prefix and not prefix[-1].isspace() and p @ space > p @ classes.begin else classes.begin
    return first | (classes.extends & classes.continues) if is_piece else first


@dataclass
class WordSearch:
    """Branch-and-bound search of the k most probable closed words after each of R prefixes.

    Args:
        width: maximum number of beginnings of a level for each prefix, fewer for a model with large states.
        max_characters: of a suggestion, a space before it included.
        openings: words that a text may begin with; None for what the model says.
    """

    model: LanguageModel
    classes: CharacterClasses
    k: int = 3
    threshold: float = MIN_PROBABILITY
    width: int = MAX_STATES
    max_characters: int = MAX_CHARACTERS
    refusals: Refusals = NO_REFUSALS
    max_piece: int = MAX_PIECE
    openings: Openings | None = None
    steps: int = field(default=0, init=False)
    """Model steps, summed over prefixes."""
    optimal: int = field(default=0, init=False)
    """Number of prefixes whose list is proven."""

    def run(
        self,
        prefixes: Sequence[str],
        log_probabilities: LogProbabilities,
        state: State,
        begun: Sequence[BegunWord | None] | None = None,
    ) -> list[list[FoundWord]]:
        """Return the words found for each of R normalised prefixes, most probable first: endings before next words, or
        behind them; `log_probabilities`, (R, V), and `state` follow the prefixes."""
        begun = [None] * len(prefixes) if begun is None else begun
        length = max(map(len, prefixes), default=0) + self.max_characters
        self.width = max_rows(self.model, self.width, length)
        batch_size = max_rows(self.model, len(prefixes), length, each=self.width)
        found: list[list[FoundWord]] = []
        for begin in range(0, len(prefixes), batch_size):
            part = slice(begin, begin + batch_size)
            part_state = state if batch_size >= len(prefixes) else tuple(array[part] for array in state)
            found += self._run_batch(prefixes[part], log_probabilities[part], part_state, begun[part])
        return found

    def _run_batch(
        self,
        prefixes: Sequence[str],
        log_probabilities: LogProbabilities,
        state: State,
        begun: Sequence[BegunWord | None],
    ) -> list[list[FoundWord]]:
        p, classes = np.exp(log_probabilities), self.classes  # (R, V)
        if not np.isfinite(p).all():
            raise FolderError(NO_PROBABILITIES)
        in_piece = [classes.has_pieces and ends_unspaced(prefix) for prefix in prefixes]
        first = [
            Root(
                i,
                1.0 if word is None else float(word.posterior[0]),
                _first_ids(prefix, row, classes, is_piece=is_piece),
                self.refusals.start(prefix),
                is_piece,
            )
            for i, (prefix, word, row, is_piece) in enumerate(zip(prefixes, begun, p, in_piece, strict=True))
        ]
        roots = SearchRoots(first, p, state)
        complete = classes.complete(prefixes, p) * roots.weights  # (R,)
        all_roots, whole, silent = self._with_meanings(roots, prefixes, begun, complete)
        opens = [i for i, prefix in enumerate(prefixes) if self.openings and open_word(prefix) == prefix]
        typed = [() if word is None else word.typed for word in begun]
        k = self.k + MAX_LEFT_OUT * bool(opens)
        found, proven = self._search_after(prefixes, all_roots, k, typed)
        for i, word in enumerate(begun):
            if word is not None and len(word.intended) > 1:
                words = WordList(k, classes.folds, classes.careful_in(prefixes[i]), typed[i])
                meant = _respelt(whole.get(i, []), classes.respelt_after(prefixes[i]), typed[i])
                for each in _once([*found[i], *meant], word.typed, classes.space):
                    words.take(each)
                found[i] = words.words
        for i in opens:
            found[i] = self._with_openings(found[i], prefixes[i])
        found = [words[: self.k] for words in found]
        is_complete = complete > 0.5
        pieces: dict[int, list[FoundWord]] = {}  # right behind a complete word: next words, as those below
        for i in np.flatnonzero(is_complete).tolist():
            pieces[i] = [word for word in found[i] if classes.unspaced[word.ids[0]]]
            endings = (word for word in found[i] if not classes.unspaced[word.ids[0]])
            found[i] = [word for word in endings if word.probability >= MIN_ENDING_OF_COMPLETE]
        unfilled = [
            i for i, prefix in enumerate(prefixes) if is_complete[i] or (len(found[i]) < self.k and open_word(prefix))
        ]
        next_words: list[list[FoundWord]] = [[] for _ in unfilled]  # also where the vocabulary has no space
        if unfilled and classes.space is not None:
            space = np.arange(p.shape[1]) == classes.space
            spaced = [Root(i, first[row].weight, space, first[row].refusal_states) for i, row in enumerate(unfilled)]
            spaced_roots = SearchRoots(spaced, p[unfilled], select_rows(state, np.array(unfilled)))
            num_wanted = max(self.k if is_complete[i] else self.k - len(found[i]) for i in unfilled)
            next_words, next_proven = self._search_after([prefixes[i] for i in unfilled], spaced_roots, num_wanted)
            proven[unfilled] &= next_proven
        for i, next_of_one in zip(unfilled, next_words, strict=True):
            words = self._merge(next_of_one, pieces.get(i, []))
            found[i] = (words + found[i] if is_complete[i] else found[i] + words)[: self.k]
        self._add_content(found, roots, prefixes)
        for i, word in enumerate(begun):
            if word is not None and word.is_english:
                found[i] = [each for each in found[i] if classes.foreign[each.ids[-1]]]
        for i in silent:
            found[i] = []
        self.optimal += int(proven.sum())
        return found

    def _add_content(self, found: list[list[FoundWord]], roots: SearchRoots, prefixes: Sequence[str]) -> None:
        """Give the third place to a word of content after function words alone."""
        bare = [
            self.k >= PLACES
            and bool(prefix and words and not open_word(prefix))
            and all(self._is_function_word(word) for word in words[:PLACES])
            for prefix, words in zip(prefixes, found, strict=True)
        ]
        if not any(bare):
            return
        search = replace(self, threshold=self.threshold * MIN_CONTENT)
        roots = replace(roots, roots=[root._replace(allowed=root.allowed & bare[root.prefix]) for root in roots.roots])
        longer, _ = search._search_after(prefixes, roots, MAX_FOUND)
        self.steps += search.steps
        for words, more in zip(found, longer, strict=True):
            last = words[PLACES - 1 :]
            least = MIN_CONTENT * (last[0].probability if last else self.threshold)
            content = [word for word in more if word.probability >= least and not self._is_function_word(word)][:1]
            others = [word for word in last if not content or word.ids.tolist() != content[0].ids.tolist()]
            words[PLACES - 1 :] = [*content, *others][: self.k - PLACES + 1]

    def _is_function_word(self, word: FoundWord) -> bool:
        return is_function_word("".join(self.classes.folds[id] for id in word.ids.tolist()))

    def _with_openings(self, found: list[FoundWord], prefix: str) -> list[FoundWord]:
        """Return the words that begin a text, with openings, and without a second religious word."""
        assert self.openings is not None
        if not prefix:
            known, letters = dict[tuple[int, ...], float](), self.classes.respelt_after(prefix)
            for ids, p in self.openings.words.items():
                word = tuple(letters.get(id, id) for id in ids)
                known[word] = known.get(word, 0.0) + p
            words = [FoundWord(np.array(ids), p) for ids, p in known.items() if not self._is_refused(ids)]
            words += [
                word._replace(probability=self.openings.others * word.probability)
                for word in found
                if tuple(word.ids.tolist()) not in known
            ]
            words = [word for word in words if word.probability >= self.threshold]
            found = sorted(words, key=lambda word: -word.probability)
        religious = [self.openings.is_religious(prefix * (not word.replaced), word.ids) for word in found]
        first = religious.index(True) if True in religious else len(found)
        return [word for i, word in enumerate(found) if i <= first or not religious[i]]

    def _is_refused(self, ids: Sequence[int]) -> bool:
        states = self.refusals.after_ids(self.refusals.start(""), ids)
        return states is None or self.refusals.blocked(states)

    def _with_meanings(
        self,
        roots: SearchRoots,
        prefixes: Sequence[str],
        begun: Sequence[BegunWord | None],
        complete: NDArray[np.float64],
    ) -> tuple[SearchRoots, dict[int, list[FoundWord]], set[int]]:
        """Return the roots with those of meanings, by prefix the meanings that are whole words, and the prefixes in
        Latin letters that mean what must not be written."""
        parts, whole, silent = [roots], dict[int, list[FoundWord]](), set[int]()
        for i, word in enumerate(begun):
            if word is None:
                continue
            part = self._meanings(word, i, prefixes[i])
            best = int(np.argmax(word.posterior))
            if best >= len(word.variants.intended) and all(r.replacement != word.intended[best] for r in part.roots):
                silent.add(i)
            if not part.roots:
                continue
            parts.append(part)
            last = np.array([root.replacement[-1] for root in part.roots])
            closed = part.weights * _share(part.p, self.classes.close) * self.classes.words[last]
            closed[self._is_unlikely_foreign(last, closed)] = 0
            whole[i] = [
                FoundWord(np.array(root.replacement, np.int64), q, root.num_replaced)
                for root, q in zip(part.roots, closed.tolist(), strict=True)
                if q >= self.threshold
                and (q > complete[i] or is_stretched(word.typed, root.replacement, self.classes.folds))
                and not self.refusals.blocked(root.refusal_states)
            ]
        if len(parts) > 1:
            state = concat_states(self.model.pad_states([part.state for part in parts]))
            all_roots = [root for part in parts for root in part.roots]
            roots = SearchRoots(all_roots, np.concatenate([part.p for part in parts]), state)
        return roots, whole, silent

    def _meanings(self, word: BegunWord, number: int, prefix: str) -> SearchRoots:
        """Return the roots of a begun word's other meanings."""
        classes, refusals = self.classes, self.refusals
        before = {n: refusals.start(prefix[: len(prefix) - n]) for n in {*word.num_replaced, len(word.typed)}}
        roots: dict[int, Root] = {}
        for row, ids in enumerate(word.intended):
            if row == 0 or word.posterior[row] < self.threshold:
                continue
            last = _last_word(ids, classes.space)
            states = refusals.after_ids(before[word.num_replaced[row]], ids[: len(ids) - len(last)])
            if states is not None and last != ids:  # the words before count as meant and as typed
                states = refusals.either(states, before[len(word.typed)])
            if states is not None and (states := refusals.after_ids(states, last)) is not None:
                allowed = classes.begin if ids[-1] == classes.space else classes.continues
                weight = float(word.posterior[row])
                roots[row] = Root(number, weight, allowed, states, False, ids, word.num_replaced[row])
        return SearchRoots([*roots.values()], word.p[[*roots]], select_rows(word.state, np.array([*roots], np.int64)))

    def _search_after(
        self, prefixes: Sequence[str], roots: SearchRoots, k: int, typed: Sequence[tuple[int, ...]] | None = None
    ) -> tuple[list[list[FoundWord]], _Flags]:
        """Search after prefixes, for words as the writer spells them."""
        typed = [()] * len(prefixes) if typed is None else typed
        found, proven = self._search(roots, k, [*map(self.classes.careful_in, prefixes)], typed)
        return [*map(_respelt, found, map(self.classes.respelt_after, prefixes), typed)], proven

    def _search(
        self, roots: SearchRoots, k: int, careful: Sequence[frozenset[int]], typed: Sequence[tuple[int, ...]]
    ) -> tuple[list[list[FoundWord]], _Flags]:
        """Return the k best words and pieces of each prefix, and whether they are proven, (R,): by the engine in one
        call for each prefix, or, where it cannot, level by level."""
        engine, arrays = getattr(self.model, "engine", None), self.classes.arrays
        largest = max(self.width, k, self.max_characters)
        if not isinstance(engine, NativeEngine) or arrays is None or largest > MAX_NATIVE:
            return self._search_levels(roots, k, careful, typed)
        table = self.refusals.table() if self.refusals.parts else None
        words, proven = list[list[FoundWord]](), np.zeros(len(careful), np.bool_)
        for i, spelling in enumerate(careful):
            which = [row for row, root in enumerate(roots.roots) if root.prefix == i]
            first, p, state = [roots.roots[row] for row in which], roots.p, roots.state
            if len(which) < len(p):
                p, state = p[which], select_rows(state, np.array(which))
            own = arrays
            if spelling:
                own = arrays._replace(classes=arrays.classes.copy())
                own.classes[[*spelling]] |= CAREFUL
            states = [table.number(root.refusal_states) if table else 0 for root in first]
            if table and not all(states):  # it is full
                return self._search_levels(roots, k, careful, typed)
            query = WordQuery(
                *(k, self.width, self.max_characters, self.threshold, self._min_foreign, own),
                table.addresses if table else (0, 0, 0),
                [root.weight for root in first],
                states,
                [*(root.replacement for root in first), typed[i]],
                *(p, np.stack([root.allowed for root in first])),
                table.learn if table else bool,
            )
            if (found := engine.search(state, query)) is None:
                return self._search_levels(roots, k, careful, typed)
            words.append([])
            for row, ids, *q in found[0]:
                root = first[row]
                words[i].append(FoundWord(np.array([*root.replacement, *ids]), q[0], root.num_replaced, q[1]))
            self.steps, proven[i] = self.steps + found[1], found[2]
        return words, proven

    def _search_levels(
        self, roots: SearchRoots, k: int, careful: Sequence[frozenset[int]], typed: Sequence[tuple[int, ...]]
    ) -> tuple[list[list[FoundWord]], _Flags]:
        """Search level by level, as `kammil_search` of `kernel.c` does, which is tested against it."""
        num_prefixes, first, classes, refusals = len(careful), roots.roots, self.classes, self.refusals
        begun = [(r, tuple[int, ...](), r.refusal_states) for r in first]
        p, state = self._without_refused(roots.p, [states for *_, states in begun]), roots.state
        allowed = np.stack([r.allowed for r in first])
        root, weight, piece = np.array([r.prefix for r in first]), roots.weights, np.array([r.is_piece for r in first])
        found = [WordList(k, classes.folds, careful[i], typed[i]) for i in range(num_prefixes)]
        # Probability of the k-th best word; of the best beginning that was dropped for the width.
        to_beat, dropped, dropped_piece = (np.zeros(num_prefixes) for _ in range(3))
        candidates: list[dict[tuple[int, ...], float]] = [{} for _ in range(num_prefixes)]
        within_piece = classes.unspaced | (classes.extends & classes.continues)  # (V,)
        for level in range(self.max_characters):
            # Single precision, with room for rounding, leaves few candidates for exact comparison.
            to_beat_by = np.where(piece, 0, to_beat[root])
            least = (np.maximum(to_beat_by, self.threshold) / weight * (1 - 1e-6)).astype(np.float32)  # (N,)
            parent, ids = np.nonzero((p >= least[:, None]) & allowed)
            reach, root = weight[parent] * p[parent, ids], root[parent]  # probabilities of longer beginnings, (N,)
            piece = classes.unspaced[ids] | (piece[parent] & classes.extends[ids])
            kept = np.flatnonzero((reach >= self.threshold) & (piece | (reach > to_beat[root])))
            parent, ids, weight, root, piece = parent[kept], ids[kept], reach[kept], root[kept], piece[kept]
            if len(ids) > self.width:
                order = np.lexsort((-weight, root))
                rank = np.arange(len(order)) - np.searchsorted(root[order], root[order])
                kept, over = order[rank < self.width], order[rank >= self.width]
                np.maximum.at(dropped, root[over], weight[over] * ~piece[over])
                np.maximum.at(dropped_piece, root[over], weight[over] * piece[over])
                parent, ids, weight, root, piece = parent[kept], ids[kept], weight[kept], root[kept], piece[kept]
            if len(ids) == 0:
                break
            step, state = self.model.step(ids, select_rows(state, parent))
            self.steps += len(set(root.tolist()))
            p = np.exp(step)
            closed = weight * _share(p, classes.close) * classes.words[ids] * ~piece  # (N,)
            separate = weight * (1 - _share(p, classes.extends)) * classes.words[ids] * piece  # (N,)
            sources = ((*begun[i], id) for i, id in zip(parent.tolist(), ids.tolist(), strict=True))
            begun = [(start, (*path, id), refusals.after_id(states, id)) for start, path, states, id in sources]
            may_end = np.array([not refusals.blocked(states) for *_, states in begun])
            p = self._without_refused(p, [states for *_, states in begun])
            closed[self._is_unlikely_foreign(ids, closed)] = 0
            for index in np.flatnonzero(may_end & (closed >= self.threshold) & (closed > to_beat[root])).tolist():
                start, path, _ = begun[index]
                word = np.array([*start.replacement, *path])
                found[start.prefix].take(FoundWord(word, float(closed[index]), start.num_replaced))
                to_beat[start.prefix] = found[start.prefix].to_beat
            within = np.where(classes.continues[ids, None], classes.continues, classes.begin)  # or behind a space
            allowed = np.where(piece[:, None], within_piece & (level + 1 < self.max_piece), within)
            for index in np.flatnonzero(piece & may_end & (separate >= self.threshold)).tolist():
                candidates[root[index]][begun[index][1]] = float(separate[index])
        else:
            reach = (p * weight[:, None] * allowed).max(axis=1)  # longer beginnings are dropped
            np.maximum.at(dropped, root, np.where(reach >= self.threshold, reach, 0))
        words, proven = [each.words for each in found], dropped <= to_beat
        for i, pieces in enumerate(candidates):
            if pieces or dropped_piece[i] > 0:
                chosen, least_gain = choose_pieces(pieces, k)
                proven[i] &= dropped_piece[i] * (self.max_piece - 1) <= least_gain
                words[i] = self._merge(words[i], [FoundWord(ids, q) for ids, q in chosen])[:k]
        return words, proven

    def _merge(self, words: list[FoundWord], others: list[FoundWord]) -> list[FoundWord]:
        # By keys saved; the space that comes with a word pays for the key that takes it.
        def saving(found: FoundWord) -> float:
            return -found.probability * (len(found.ids) - int(self.classes.unspaced[found.ids].any()))

        return list(heapq.merge(words, others, key=saving)) if others else words

    def _is_unlikely_foreign(self, ids: Ids, probabilities: NDArray[np.float64]) -> _Flags:
        return self.classes.foreign[ids] & (probabilities < self._min_foreign)

    @property
    def _min_foreign(self) -> float:
        return max(self.threshold, min(FOREIGN * self.threshold, MIN_FOREIGN))

    def _without_refused(self, p: _Floats, states: Sequence[States]) -> _Floats:
        """Return the probabilities, (N, V), of refused ids negative."""
        copied = False
        for row, state in enumerate(states if self.refusals.parts else ()):
            if (refused := self.refusals.refused(state)) is not None:
                p, copied = (p if copied else p.copy()), True
                p[row, refused] = -1
        return p


def _respelt(words: list[FoundWord], letters: Mapping[int, int], typed: tuple[int, ...]) -> list[FoundWord]:
    """Return words with some ids exchanged, without those that are then as typed."""
    if not letters:
        return words
    new = (word._replace(ids=np.array([letters.get(id, id) for id in word.ids.tolist()])) for word in words)
    return [word for word in new if not word.replaced or tuple(word.ids.tolist()) != typed]


def _once(words: Sequence[FoundWord], typed: tuple[int, ...], space: int | None) -> list[FoundWord]:
    """Merge meanings of one word, whose probabilities add up; of words that differ only in earlier ones the more
    probable is kept."""
    by_ids: dict[tuple[int, ...], list[FoundWord]] = {}
    for word in words:
        ids = tuple(word.ids.tolist())
        by_ids.setdefault(ids if word.replaced else typed + ids, []).append(word)
    best: dict[tuple[int, ...], FoundWord] = {}
    for ids, same in by_ids.items():
        probability = sum(word.probability for word in same)
        once = min(same, key=lambda word: word.replaced)._replace(probability=probability)
        last = _last_word(ids, space)
        best[last] = max(best.get(last, once), once, key=lambda word: word.probability)
    return sorted(best.values(), key=lambda word: -word.probability)


def _last_word(ids: tuple[int, ...], space: int | None) -> tuple[int, ...]:
    return ids[len(ids) - ids[::-1].index(space) :] if space in ids else ids


def _share(p: _Floats, ids: _Floats | _Flags) -> _Floats:
    """Return the probability, (N,), of a class of ids, (V,), by rows of p, (N, V).

    Not by BLAS, which adds in another order on every processor, and once warned of an invalid value among valid ones.
    """
    return np.einsum("nv,v->n", p, ids)

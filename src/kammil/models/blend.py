"""Counts and a network, trained together: each says what it knows, and a gate decides whom to believe.

The idea: what a text says next is partly known by heart (a name, a phrase, the end of a word) and partly a matter of
how such texts go on. Counting knows the first at once, a network learns the second. So the network (a GRU) gives every
character a score; every expert, which is one kind of context looked up in a table of counts (the last 1 to 12
characters, the word so far, the word before it too, ...), adds to the scores of the characters that it has seen follow;
and a small network, the gate, reads how much each expert knows and the GRU's state, and gives each expert its weight.
The softmax of the sums is the prediction. So experts are multiplied, as in a product of experts (Hinton 2002) and in
the logistic mixing of context-mixing compressors (Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data
Compression"), not averaged: the weighted mean of their shares, with the same gate, is 0.04 bits a character behind.

What makes it work is that, while learning, every text is looked up in the counts of the *other* texts (leave one out;
near-duplicates are left out with it): else long contexts would know everything, and the gate would learn to trust them.
All parts learn at once, so the network spends itself on what counting cannot know. A little of the network's own loss
keeps it a good predictor where no context was ever seen.

What was left out: smoothed estimates instead of plain counts and a learnt table of weights by count and share; both
came out equal (2.912, 2.915 and 2.908 bits a character after three epochs on the benchmark's validation texts).

Shapes: B batch, T time, P = B * T positions, V vocabulary, H hidden, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import numpy as np
import regex
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kammil.models import rounding
from kammil.models.apart import Apart
from kammil.models.base import Artifacts, Ids
from kammil.models.budget import thresholds
from kammil.models.contexts import Contexts
from kammil.models.counts import Counts, Index, Keys, Part, keys_of
from kammil.models.evidence import CLUES, FEATURES, Evidence, evidence
from kammil.models.history import History, columns
from kammil.models.mixing import BACKGROUND, IN_WORD, OWN, BlendSettings, prefixes_of
from kammil.models.packing import pack
from kammil.models.recurrence import recur
from kammil.progress import phase, tracked
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

Arrays = Mapping[str, NDArray[np.generic]]
Taught = list[tuple[Tensor, float]]
"""Logits with the weight of their loss."""

_MATRICES = ("embedding.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "output.weight")
_PARTS = ("embedding.", "gru.", "output.", "gate_in.", "gate_out.")
"""What the names of the first member's weights begin with; those of the others have a prefix."""
_MARK = regex.compile(r"\p{M}")
_ALONE = 0.3
"""Weight of the loss of a network by itself: it stays a good predictor where no context was ever seen."""
_LARGE = 8
"""A group of more near-duplicates is counted once and kept, so that a greeting which everybody sends costs no time."""


class Member(nn.Module):
    """A GRU and a gate over the experts: together they predict."""

    def __init__(self, vocabulary_size: int, experts: int, settings: BlendSettings) -> None:
        """Set up the layers; at birth every expert is trusted a little, the same everywhere."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding, padding_idx=PAD)
        self.gru = nn.GRU(settings.embedding, settings.hidden, batch_first=True)
        self.dropout = settings.dropout
        self.output = nn.Linear(settings.hidden, vocabulary_size)
        self.gate_in = nn.Linear(settings.hidden + CLUES * experts, settings.gate)
        self.gate_out = nn.Linear(settings.gate, FEATURES * experts)
        nn.init.zeros_(self.gate_out.weight)
        nn.init.constant_(self.gate_out.bias, 0.1)

    def predict(
        self,
        ids: Tensor,
        clues: Tensor,
        places: Tensor,
        followers: Tensor,
        features: Tensor,
        *,
        chance: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits of what follows each position, with the experts and without; `chance` decides what is dropped."""
        h = recur(self.gru, self.embedding, ids)  # (B, T, H)
        if self.training and self.dropout:
            h = h * (torch.empty_like(h).bernoulli_(1 - self.dropout, generator=chance) / (1 - self.dropout))
        alone = self.output(h).float()  # (B, T, V)
        seen = torch.cat([h, clues.view(*ids.shape, -1)], dim=-1)  # (B, T, H + CLUES * K)
        return self._heard(alone, self.gate_in(seen), places, followers, features), alone

    def opening(self) -> list[nn.Parameter]:
        """What learns without the network: the gate, and how common characters are."""
        return [self.output.bias, *self.gate_in.parameters(), *self.gate_out.parameters()]

    def opened(self, ids: Tensor, clues: Tensor, places: Tensor, followers: Tensor, features: Tensor) -> Tensor:
        """Logits (B, T, V) of how common characters are and of the experts, without the network."""
        alone = self.output.bias.expand(*ids.shape, -1).contiguous()
        weights = self.gate_in.weight[:, self.gru.hidden_size :]  # (G, CLUES * K)
        asked = functional.linear(clues.view(*ids.shape, -1), weights, self.gate_in.bias)
        return self._heard(alone, asked, places, followers, features)

    def _heard(self, alone: Tensor, asked: Tensor, places: Tensor, followers: Tensor, features: Tensor) -> Tensor:
        """Scores (B, T, V) with what the experts add to them, by what the gate was asked, (B, T, G)."""
        trust = self.gate_out(torch.relu(asked))  # (B, T, FEATURES * K)
        experts = trust.shape[-1] // FEATURES
        said = (trust.reshape(-1, FEATURES)[places] * features).sum(-1)  # (N,)
        at = places // experts * alone.shape[-1] + followers  # (N,)
        return alone.reshape(-1).index_add(0, at, said).view(alone.shape)


class Blend(Member):
    """Members that each learn by themselves and predict together: the mean of their log-probabilities.

    One loss for all of them would not do: networks that learn under it do not become different enough to gain.
    """

    def __init__(self, vocabulary_size: int, experts: int, settings: BlendSettings) -> None:
        """Set up the members; the first one is this module itself, so that its weights are named like a GRU's."""
        super().__init__(vocabulary_size, experts, settings)
        self.others = nn.ModuleList(Member(vocabulary_size, experts, settings) for _ in range(settings.networks - 1))

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them, M."""
        return self, *cast(Iterable[Member], self.others)

    def forward(
        self, ids: Tensor, clues: Tensor, places: Tensor, followers: Tensor, features: Tensor
    ) -> tuple[Tensor, Taught]:
        """Logits (B, T, V) of what follows each position, and those that learn: of each member, and of its network.

        Args:
            ids: (B, T).
            clues, places, followers, features: `Evidence` about the B * T positions, row by row.
        """
        made = self._predicted(ids, clues, places, followers, features)
        taught = [(logits, 1.0) for logits, _ in made] + [(alone, _ALONE) for _, alone in made]
        if len(made) == 1:
            return made[0][0], taught
        with torch.no_grad():
            return torch.stack([logits.log_softmax(-1) for logits, _ in made]).mean(0), taught

    def _predicted(self, ids: Tensor, *evidence: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each member predicts. On a processor several learn in a thread each, forward and backward: nothing
        that one does needs another."""
        if len(self.members) == 1:
            return [self.predict(ids, *evidence)]
        seeds = torch.randint(1 << 62, (len(self.members),)).tolist()  # so that no thread waits for another's chance
        calls = [
            partial(member.predict, ids, *evidence, chance=torch.Generator(ids.device).manual_seed(seed))
            for member, seed in zip(self.members, seeds, strict=True)
        ]
        if ids.device.type != "cpu" or not torch.is_grad_enabled():
            return [call() for call in calls]
        made = Apart.run(self.output.bias, calls)
        return list(zip(made[::2], made[1::2], strict=True))


class Row(Protocol):
    """A piece of a text: the positions whose inputs are its ids but the last."""

    @property
    def text(self) -> int:
        """Number of the text."""
        ...

    @property
    def begin(self) -> int:
        """First position of the text that is in the piece."""
        ...

    @property
    def ids(self) -> Ids:
        """(T + 1,)."""
        ...


@dataclass(frozen=True)
class _Read:
    """Texts as the tables see them, one after the other; a text of n ids has n + 1 positions."""

    keys: Keys
    """(P, K): keys of the contexts."""
    followers: Ids
    """(P,): what followed."""
    starts: Index
    """First position of each text, and the number of positions."""

    def span(self, text: int) -> slice:
        return slice(int(self.starts[text]), int(self.starts[text + 1]))


class Experts:
    """The tables of a run, and the evidence they give about its texts.

    Args:
        train, validation: encoded texts.
        kin: near-duplicate group of each training text.
        background: encoded texts that are counted in a table of their own, and not learnt from.
    """

    def __init__(
        self,
        train: Sequence[Ids],
        validation: Sequence[Ids],
        *,
        kin: Sequence[int],
        background: Sequence[Ids],
        vocabulary: CharacterVocabulary,
        settings: BlendSettings,
    ) -> None:
        """Count the texts."""
        self._in_word = in_word(vocabulary)
        self._contexts = Contexts(settings.kinds, self._in_word)
        self._columns = columns(settings.kinds, settings.history)
        self._history = History(len(self._columns))
        self._train, self._validation = self._read(train), self._read(validation)
        counted = {OWN: _count(self._train, settings.most)}
        if background:
            counted[BACKGROUND] = _count(self._read(background), settings.most, least=2)
        read = self._validation
        least = thresholds(list(counted.values()), read.keys, read.followers, settings.megabytes)
        self._least = dict(zip(counted, least, strict=True))
        # The gate must learn on what will be there. Of its own counts a text finds fewer than others will: what it
        # brought is taken out first, so the rare ones are dropped while reading, and from the folder.
        self._exported = {
            prefix: Counts.merged([t.where(t.totals >= n) for t, n in zip(kinds, self._least[prefix], strict=True)])
            for prefix, kinds in counted.items()
        }
        self.tables = {**self._exported, OWN: Counts.merged(counted[OWN])}
        # Every pass asks for the same contexts: looked up once.
        with phase("looking the texts up"):
            self._found, self._found_validation = (
                [table.find(read.keys) for table in self.tables.values()] for read in (self._train, self._validation)
            )
        self._kin = [int(k) for k in kin]
        self._members: dict[int, list[int]] = {}
        for text, group in enumerate(self._kin):
            self._members.setdefault(group, []).append(text)
        self._large: dict[int, Part] = {}

    @property
    def number(self) -> int:
        """K."""
        return len(self._contexts.kinds) * len(self.tables) + len(self._columns)

    def about(self, rows: Sequence[Row], width: int, *, learning: bool) -> Evidence:
        """Evidence about a batch of `width` positions a row; about those beyond its end nothing is known.

        While learning, rows are of the training texts, and each is looked up in the counts of all texts that are no
        near-duplicates of its own; else rows are of the validation texts.
        """
        read, found = (self._train, self._found) if learning else (self._validation, self._found_validation)
        experts = len(self._contexts.kinds)
        keys = np.zeros((len(rows), width, experts), np.uint32)
        given = [np.full((len(rows), width, experts), -1, np.int32) for _ in found]  # nowhere, beyond a text's end
        ids = np.full((len(rows), width), PAD, np.int64)
        for i, row in enumerate(rows):
            begin, length = int(read.starts[row.text]) + row.begin, len(row.ids) - 1
            ids[i, :length], keys[i, :length] = row.ids[:-1], read.keys[begin : begin + length]
            for there, places in zip(given, found, strict=True):
                there[i, :length] = places[begin : begin + length]
        start = self._history.start(len(rows))
        earlier, _ = self._history.read(ids, keys[..., self._columns], start, last=width)
        flat = [there.reshape(len(rows) * width, -1) for there in given]  # (P, K)
        if not learning:
            least = self._least.values()
            read_all = [t.read(f).at_least(n) for t, f, n in zip(self.tables.values(), flat, least, strict=True)]
            return evidence([*read_all, earlier])
        own, *others = self.tables.values()
        first = own.read_without(flat[0], [self._brought(row.text) for row in rows])
        entries = [first.at_least(self._least[OWN])]
        entries += [table.read(there) for table, there in zip(others, flat[1:], strict=True)]
        return evidence([*entries, earlier])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What the running side needs of it."""
        made: dict[str, NDArray[np.generic]] = {IN_WORD: self._in_word.astype(np.uint8)}
        for prefix, table in self._exported.items():
            made |= pack(table, prefix)
        return made

    def _brought(self, text: int) -> Part:
        """What a text and its near-duplicates brought to their table; of a large group it is counted once."""
        group = self._kin[text]
        if group in self._large:
            return self._large[group]
        spans = [self._train.span(member) for member in self._members[group]]
        brought = Part.of(
            np.concatenate([self._found[0][span] for span in spans]),
            np.concatenate([self._train.followers[span] for span in spans]),
        )
        if len(spans) > _LARGE:
            self._large[group] = brought
        return brought

    def _read(self, texts: Sequence[Ids]) -> _Read:
        """Hash texts, those of like length together."""
        starts = np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)])
        keys = np.empty((int(starts[-1]), len(self._contexts.kinds)), np.uint32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for chosen in tracked(np.array_split(order, max(1, len(order) // 256)), "reading the texts for counting"):
            ids = np.full((len(chosen), max((len(texts[i]) for i in chosen), default=0) + 1), PAD, np.int64)
            ids[:, 0] = BOS
            for row, i in enumerate(chosen):
                ids[row, 1 : len(texts[i]) + 1] = texts[i]
            hashes, _ = self._contexts.read(ids, self._contexts.start(len(chosen)))
            for row, i in enumerate(chosen):
                keys[starts[i] : starts[i + 1]] = keys_of(hashes[row, : len(texts[i]) + 1])
        followers = np.concatenate([*(np.append(text, EOS) for text in texts), np.zeros(0, np.int64)])
        return _Read(keys, followers.astype(np.int64), starts)


def _count(read: _Read, most: int, least: int = 1) -> list[Counts]:
    """What was read, counted kind by kind."""
    kinds = range(read.keys.shape[1])
    return [Counts.of([(read.keys[:, k], read.followers)], most=most, least=least) for k in tracked(kinds, "counting")]


def in_word(vocabulary: CharacterVocabulary) -> NDArray[np.bool_]:
    """Which ids belong to words, (V,): letters, digits, marks, underscores, and unknown characters."""
    characters = [c.isalnum() or c == "_" or _MARK.match(c) is not None for c in vocabulary.characters]
    specials = [i == UNK for i in range(SPECIALS)]
    return np.array(specials + characters, np.bool_)


def build(vocabulary_size: int, settings: BlendSettings, experts: int) -> Blend:
    """A new network and gate; PyTorch's global generator decides the weights."""
    return Blend(vocabulary_size, experts, settings)


def inherit(network: Blend, settings: BlendSettings, weights: Arrays, theirs: BlendSettings) -> None:
    """Take over the gate of another blend whose own texts are the background now; in place.

    Its experts become those of the background, and those of the new texts begin as in a new gate. Nothing is taken
    where sizes or kinds differ, or where the other one had a background itself.
    """
    kinds, cached = len(settings.kinds), len(settings.history)
    old = kinds + cached  # their experts
    own = network.gate_out.out_features // FEATURES - old  # ours that are new
    same = all(getattr(settings, n) == getattr(theirs, n) for n in ("kinds", "history", "gate", "networks", "hidden"))
    if own != kinds or not same or weights["gate_out.bias"].shape != (FEATURES * old,):
        return
    for member, prefix in zip(network.members, prefixes_of(settings.networks), strict=True):
        inward, inward_bias, outward, outward_bias = (
            torch.from_numpy(weights[f"{prefix}{name}"].astype(np.float32))
            for name in ("gate_in.weight", "gate_in.bias", "gate_out.weight", "gate_out.bias")
        )
        with torch.no_grad():
            state, clues = inward.split([settings.hidden, CLUES * old], dim=1)
            new = torch.zeros(settings.gate, CLUES, own)
            every = torch.cat([new, clues.reshape(settings.gate, CLUES, old)], dim=2)  # (G, CLUES, K)
            member.gate_in.weight.copy_(torch.cat([state, every.flatten(1)], dim=1))
            member.gate_in.bias.copy_(inward_bias)
            member.gate_out.weight[FEATURES * own :] = outward
            member.gate_out.bias[FEATURES * own :] = outward_bias


def export(model: Blend) -> Artifacts:
    """The weights in whole numbers and half precision, which changes no figure; the tables are added by the recipe."""
    weights = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in model.state_dict().items()}
    return Artifacts(rounding.pack(weights, _large(len(model.members))))


def _large(networks: int) -> list[str]:
    """The matrices that make up nearly all of the networks' weights."""
    return [prefix + name for prefix in prefixes_of(networks) for name in _MATRICES]


def merge(settings: Sequence[BlendSettings], weights: Sequence[Arrays]) -> tuple[BlendSettings, Artifacts]:
    """Blends that learnt the same texts, each by itself, as the members of one.

    `ValueError` where they differ in more than what they learnt.
    """
    first, tables = settings[0], _tables(weights[0])
    made: dict[str, NDArray[np.generic]] = dict(tables)
    places = iter(prefixes_of(sum(own.networks for own in settings)))
    for own, arrays in zip(settings, weights, strict=True):
        if own.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
            raise ValueError("they are of different sizes")
        theirs = _tables(arrays)
        if theirs.keys() != tables.keys() or not all(np.array_equal(tables[n], theirs[n]) for n in tables):
            raise ValueError("they count different texts")
        learnt = rounding.unpack(arrays)
        for prefix in prefixes_of(own.networks):
            place = next(places)
            for name in learnt.keys() - tables.keys():
                if name.startswith(prefix or _PARTS):
                    made[place + name.removeprefix(prefix)] = learnt[name]
    together = first.model_copy(update={"networks": sum(own.networks for own in settings)})
    return together, Artifacts(rounding.pack(made, _large(together.networks)))


def _tables(arrays: Arrays) -> Arrays:
    """What was counted, and which ids belong to words."""
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}

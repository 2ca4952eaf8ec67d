# %% [markdown]
# # 2. Pairs, numbers, blanks
#
# A network computes with numbers, and with many rows of them at once, all of the same length. Texts are letters, and
# each has its own length. This part turns one into the other, and shows that two small decisions on the way (where the
# blanks go, and when the test part is put aside) decide what the model can learn and what its score is worth.
#
# **In this part:** sequence-to-sequence prediction, encoding, padding, index 0, and why the split comes first.

# %%
# The same first cell in every part: where Kammil is not installed yet, it installs it from SOURCE.
import importlib
import os
import subprocess
import sys

SOURCE = os.environ.get("KAMMIL_SOURCE", "../..[train]")  # a clone, a wheel or an address, as pip reads it
try:
    from kammil import lesson
except ImportError:
    print("installing Kammil from", SOURCE)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", SOURCE], check=True)
    importlib.invalidate_caches()
    from kammil import lesson

# %%
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import kammil

MIN_LENGTH, TARGET = 60, 30
posts = [post for post in lesson.posts() if len(post) >= MIN_LENGTH]
train, test = lesson.split(posts)
print(len(train), "posts to learn from,", len(test), "to test with")

# %% [markdown]
# ## One post, one pair
#
# *Sequence-to-sequence prediction*: a sequence goes in, a sequence comes out. Translation is of this kind (a sentence
# in, a sentence out), and so is completion. Here the input is the first half of a post and the output, the *target*,
# is what comes in the next 30 characters.
#
# `MIN_LENGTH` is 60, because the second half of a shorter post would have fewer than 30 characters.


# %%
def pair(post: str) -> tuple[str, str]:
    """Return the first half of a post, and the 30 characters after it."""
    half = len(post) // 2
    return post[:half], post[half : half + TARGET]


lesson.table(("first half: the input", "next 30: the target"), *map(pair, train[:4]))
assert all(len(target) == TARGET for _, target in map(pair, train + test))

# %% [markdown]
# ## What is an accuracy worth?
#
# The score of the notebook is *accuracy*: at how many of the 30 places the right character stands. It reports 18.2 %.
# Before we train anything, let us see what you can score without reading at all. Such a score is called a *baseline*.
#
# The first way is to roll a die with one side for each of the V characters; it is right once in V times. The second is
# always to say "space". (`benchmarks/notebook.py` has trained the notebook's network again, on its tweets; its figures
# are read from a file.)
#
# > **Guess first.** What does the second way score?

# %%
V = len(set("".join(train)))
targets = "".join(pair(post)[1] for post in test)
always_space = targets.count(" ") / len(targets)
measured = lesson.benchmark("notebook")
space_in_tweets = measured["always_a_space"]["all"]
lesson.table(
    ("who", "posts", "right"),
    (f"random (1/V, V = {V})", "ours", lesson.percent(1 / V)),
    ("always a space", "ours", lesson.percent(always_space)),
    ("always a space", "the notebook's tweets", lesson.percent(space_in_tweets)),
    ("the notebook, as it reports", "the notebook's tweets", "18.2 %"),
    ("the notebook, trained again", "the notebook's tweets", lesson.percent(measured["notebook"]["all_accuracy"])),
)
assert space_in_tweets > measured["notebook"]["all_accuracy"]

# %% [markdown]
# **So 18.2 % is nothing.** It is what you get for answering a space, whatever the question. On the notebook's own test
# tweets the space alone has a little more right than its network.
#
# The lesson from this is the most useful one here: **an accuracy without a baseline beside it says nothing.** From
# now on a random row, 1/V, stands in every table of scores, and mostly the space as well.
#
# ## Encoding: characters to numbers
#
# *Encoding* gives each character a number, its *index*. The dictionary is made from the training part **only**.

# %%
PAD, UNKNOWN = 0, 1
characters = sorted(set("".join(train)))
index = {character: i + 2 for i, character in enumerate(characters)}
SIZE = len(index) + 2


def encode(text: str) -> list[int]:
    """Return the index of each character; 1 for a character that the training part does not have."""
    return [index.get(character, UNKNOWN) for character in text]


def decode(numbers: list[int]) -> str:
    """Return the text of indices."""
    return "".join(characters[i - 2] if i > 1 else "\N{REPLACEMENT CHARACTER}" for i in numbers)


word = train[0][:12]
print(encode(word))
assert all(decode(encode(post)) == post for post in train)  # nothing is lost

# %% [markdown]
# > **Guess first.** How many characters of the test part have no number?

# %%
unknown = [character for post in test for character in post if character not in index]
print(len(unknown), "of", sum(map(len, test)), "characters are unknown")

# %% [markdown]
# Few, but not none: tomorrow somebody uses a new emoji, or a letter of another script. A dictionary made of *all*
# posts, like the notebook's, never meets an unknown character in the test, and so never shows what the model does with
# one. In real use it will meet some. Here they get index 1, "a character that I do not know".
#
# ## Why index 0 is left free
#
# Texts have different lengths, and all rows of a rectangle have the same. So short rows are filled up with blanks.
# That is *padding*, and the blank needs an index that means nothing else. By custom it is 0: `torch.zeros` makes a
# rectangle full of blanks, `padding_idx=0` fixes the blank's *embedding*, its list of numbers, at zero, and
# `ignore_index=0` takes blanks out of the *loss*, the number that says how wrong the network was, and from which it
# learns.
#
# What if a real character has index 0? Python counts from 0, so it is an easy mistake. Let us make it, with the space.
#
# > **Guess first.** The loss will silently ignore which share of what the model should learn?

# %%
careless = {character: i for i, character in enumerate(sorted(characters, key=lambda c: c != " "))}
y = torch.tensor([[careless.get(c, 1) for c in pair(post)[1]] for post in train])
ignored = float((y == 0).float().mean())
print(f"the space has index {careless[' ']}; ignore_index=0 drops {lesson.percent(ignored)} of all targets")
assert ignored > 0.1

# %% [markdown]
# No error, no warning, and the model would never learn where words end. So 0 stays free.
#
# ## Where do the blanks go?
#
# There are three places, and all three run without an error:
#
# - **before** the input: `_ _ _ h a l f t a r g e t`
# - **between** input and target: `h a l f _ _ _ t a r g e t`. This is the notebook's way: its halves are filled up at
#   their end, so the network reads blanks last, just before it must write.
# - **after** everything: `h a l f t a r g e t _ _ _`
#
# A recurrent network reads character after character and keeps what it read in a list of numbers, its *state*. (Part 3
# builds one.) We train the same small network three times; only the place of the blanks differs.
#
# Training is a loop that you will meet again and again: let the network predict; compute the *loss*, which says how
# surprised it was by the true characters; compute the *gradient*, which says for every number of the network in
# which direction to change it so that the loss falls; and take a small step in that direction. `lr`, the *learning
# rate*, is the length of the step (`AdamW` is the rule that takes it; part 4 looks at it). Each step is taken for a few
# posts together, here 32; they are called a *batch*. One pass over all training posts is an *epoch*.
#
# `Embedding` gives each index a list of numbers, `GRU` keeps the state, `Linear` makes scores of it. The highest
# score is the guess. Part 3 opens all three; here they are only used.
#
# > **Guess first.** Put the three in order. How big is the difference, in points of accuracy?

# %%
WIDTH = max(len(pair(post)[0]) for post in posts)


def rectangle(texts: list[str], place: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input rows (N, WIDTH + TARGET) and where the target begins in each (N,)."""
    rows, begins = torch.zeros(len(texts), WIDTH + TARGET, dtype=torch.long), []
    for row, text in zip(rows, texts, strict=True):
        half, target = map(encode, pair(text))
        begin = len(half) if place == "after" else WIDTH
        row[begin : begin + TARGET] = torch.tensor(target)
        first = WIDTH - len(half) if place == "before" else 0
        row[first : first + len(half)] = torch.tensor(half)
        begins.append(begin)
    return rows, torch.tensor(begins)


class Small(nn.Module):
    """Read characters one by one; after each, give a score to every character that could come next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIZE, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 96, batch_first=True)
        self.output = nn.Linear(96, SIZE)

    def forward(self, rows: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
        """Return scores (N, 30, SIZE) of the target characters, each from all that stands before it."""
        states, _ = self.gru(self.embedding(rows))
        at = begins[:, None] + torch.arange(TARGET) - 1  # the state before each target character
        return self.output(states.gather(1, at[..., None].expand(-1, -1, states.shape[-1])))


target_rows = {
    part: torch.tensor([encode(pair(p)[1]) for p in texts]) for part, texts in (("train", train), ("test", test))
}


def trained(place: str, epochs: int = 6) -> tuple[Small, list[float]]:
    """Train a small network with blanks in this place; return it and its test accuracy after each epoch."""
    torch.manual_seed(0)
    network = Small()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    rows, begins = rectangle(train, place)
    accuracies = []
    for _ in range(epochs):
        for batch in torch.randperm(len(train)).split(32):
            scores = network(rows[batch], begins[batch])
            loss = F.cross_entropy(scores.flatten(0, 1), target_rows["train"][batch].flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            guesses = network(*rectangle(test, place)).argmax(-1)
        accuracies.append(float((guesses == target_rows["test"]).float().mean()))
    return network, accuracies


results = {place: trained(place) for place in ("before", "between", "after")}
lesson.table(
    ("blanks", "right after 1 epoch", "right after 6 epochs"),
    *((place, lesson.percent(a[0]), lesson.percent(a[-1])) for place, (_, a) in results.items()),
    ("random (1/V)", lesson.percent(1 / V), lesson.percent(1 / V)),
    ("always a space", lesson.percent(always_space), lesson.percent(always_space)),
    note="An epoch is one pass over the training part.",
)

# %% [markdown]
# Were you surprised? The difference in accuracy is small: here the network reads the target characters, too, each
# before it guesses the next, so it forgets the blanks soon. The difference is elsewhere. Look at the **first** target
# characters, which come right after the blanks, and at how much the answer depends on the number of blanks.
#
# > **Guess first.** The same text, once as it is and once with 50 more blanks in its row. By how much may a probability
# > change?

# %%
FIRST = 3


def first_letters(network: Small, place: str) -> float:
    """Return the accuracy on the first three target characters."""
    with torch.no_grad():
        guesses = network(*rectangle(test, place)).argmax(-1)
    return float((guesses == target_rows["test"])[:, :FIRST].float().mean())


def changed(network: Small, place: str) -> float:
    """Return how much a probability changes at most when 50 more blanks are put in the same place."""
    rows, begins = rectangle(test[:20], place)
    blanks = torch.zeros(1, 50, dtype=torch.long)
    more = []
    for row, text in zip(rows, test[:20], strict=True):
        length = len(pair(text)[0])
        cut = {"before": 0, "between": length, "after": len(row)}[place]
        more.append(torch.cat([row[:cut], blanks[0], row[cut:]]))
    moved = begins + (0 if place == "after" else 50)
    with torch.no_grad():
        p, q = network(rows, begins).softmax(-1), network(torch.stack(more), moved).softmax(-1)
    return float((p - q).abs().max())


changes = {place: changed(network, place) for place, (network, _) in results.items()}
lesson.table(
    ("blanks", f"right among the first {FIRST}", "50 more blanks change a probability by up to"),
    *((place, lesson.percent(first_letters(n, place)), f"{changes[place]:.4f}") for place, (n, _) in results.items()),
    ("random (1/V)", lesson.percent(1 / V), ""),
)
moves = ", ".join(f"{100 * change:.1f} points {place}" for place, change in changes.items())
print(f"50 more blanks move a probability by up to: {moves}")
assert changes["after"] < 1e-5

# %% [markdown]
# **After** is the only place where blanks cannot change anything: the network reads them when everything is already
# said. With blanks **before** or **between**, the same text may get another answer when a longer neighbour stands in
# its batch: the last line of the cell says by how much a probability moves with these posts; with other posts it can
# be several points. And **between** has one more fault: the network reads the blanks last, and some of what it read is
# forgotten on the way, so it does worse on the first characters.
#
# And the notebook? Its decoder is told nothing but the state after the blanks. Whatever it knows about the text has to
# survive them. Its score does not show this fault, for a greater one hides it: part 4 is about that decoder.
#
# ## Why the split comes first
#
# Put the test part aside before you count, encode, filter or look. Two things go wrong otherwise. One you have seen: a
# dictionary that knows the test part's characters. The other costs more. We let a quarter of the posts be *shared* by
# somebody else, with a word before them, and split in two ways: by chance, as the notebook does, and honestly, with all
# copies of a post on one side.
#
# > **Guess first.** A counter learns from each training part. How many points of accuracy does the split by chance seem
# > to bring?

# %%
rng = np.random.default_rng(0)
originals = train
shared = ["منقول: " + originals[i] for i in rng.choice(len(originals), len(originals) // 4, replace=False)]
world = originals + shared
order = rng.permutation(len(world))
by_chance = [world[i] for i in order]
cut = len(world) // 5
chance_test, chance_train = by_chance[:cut], by_chance[cut:]

from kammil.data import splits

parts = splits.split(world, validation=0, test=0.2, seed=0)
honest_test, honest_train = [world[i] for i in parts.test], [world[i] for i in parts.train]


def counter_accuracy(learn: list[str], judge: list[str]) -> float:
    """Train a counter and return its accuracy on the target characters."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counter"
        kammil.train(learn, model="ngram", out=out, listen=lambda event: None, report=False)
        right = kammil.evaluate(kammil.load(out), judge).model.target_top1
    assert right is not None
    return right.value


by_chance_right = counter_accuracy(chance_train, chance_test)
honest_right = counter_accuracy(honest_train, honest_test)
lesson.table(
    ("split", "test posts with a copy in training", "right"),
    ("by chance", splits.leaks(chance_train, chance_test).near, lesson.percent(by_chance_right)),
    ("copies on one side", splits.leaks(honest_train, honest_test).near, lesson.percent(honest_right)),
    ("random (1/V)", "", lesson.percent(1 / V)),
    note="The same counter, the same posts, the same share of them to test with.",
)
assert by_chance_right > honest_right

# %% [markdown]
# The higher figure does not mean a better model. It is the same kind of model, asked for posts that it has seen. In
# the notebook's data more than half of the test tweets have a copy in the training part (part 1 counts them). Such
# copies flatter a network that has learnt something; one that always says the space remembers nothing of them.
#
# ## What to keep
#
# - *Sequence-to-sequence*: a sequence in, a sequence out. Here: half a post in, 30 characters out.
# - *Encoding* is a dictionary from characters to numbers, made from the training part. 0 is kept for blanks, 1 for the
#   unknown.
# - *Padding* goes after the text. Elsewhere it can change the answer.
# - 18.2 % is about what the space scores. Always put a baseline into the table.
# - Split first, copies on one side.
#
# ## Exercises
#
# 1. Write the pairs of a post whose target begins after the *first third*. Does the accuracy of "always a space"
#    change?
# 2. `nn.utils.rnn.pack_padded_sequence` is PyTorch's remedy for padding. It tells the network where each row ends.
#    Show that a plain GRU whose blanks stand *after* has, at the last real character, the state that packing gives.
# 3. With blanks *before*, is the state zero when the text begins? Why not, although the blank's vector is zero?

# %% [markdown]
# ### Solutions

# %%
thirds = "".join(post[len(post) // 3 :][:TARGET] for post in test)
print(
    lesson.percent(thirds.count(" ") / len(thirds)), "are spaces there; every part of a post has about the same share"
)
assert abs(thirds.count(" ") / len(thirds) - always_space) < 0.05

# %%
network = results["after"][0]
halves = [torch.tensor(encode(pair(post)[0])) for post in test[:8]]
padded = nn.utils.rnn.pad_sequence(halves, batch_first=True)
ends = torch.tensor([len(half) for half in halves])
packed = nn.utils.rnn.pack_padded_sequence(network.embedding(padded), ends, batch_first=True, enforce_sorted=False)
_, last = network.gru(packed)
states, _ = network.gru(network.embedding(padded))
assert torch.allclose(last[0], states[torch.arange(8), ends - 1], atol=1e-6)

# %%
_, after_blanks = network.gru(network.embedding(torch.zeros(1, 50, dtype=torch.long)))
print("largest number in the state after 50 blanks:", f"{after_blanks.abs().max().item():.2f}")
assert after_blanks.abs().max() > 0.01  # the biases of the GRU move the state, even when the input is zero

# %% [markdown]
# Next: [3. The network, in thirty lines](3_the_network.ipynb)

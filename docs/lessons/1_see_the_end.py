# %% [markdown]
# # 1. See the end first, then count
#
# This lesson is about a small program that finishes what you began to write: a *language model*. It follows a teaching
# notebook, "Generative RNNs: Text Completion", and measures what that notebook says. (RNN means *recurrent neural
# network*; parts 2 and 3 build one.)
#
# You need Python. You need no knowledge of neural networks. You need no Arabic either: the figures say what is
# measured, and what a text means does not matter.
#
# **In this part:** a finished model completes posts; we look at the posts; we build a model by counting pairs of
# letters; and we build the same model a second time, by learning.
#
# **How to read.** Before many cells stands a question, marked **Guess first**. Stop for ten seconds and say a number
# aloud. You remember best what you first got wrong. The words of the field stand in a [glossary](glossary.md), in
# English and Arabic.

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
import math
import random
import re
import tempfile
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import kammil

torch.manual_seed(0)
TARGET = 30  # a model must write so many characters
posts = lesson.posts()
lesson.say(f"We have {len(posts):,} posts with {sum(map(len, posts)):,} characters.")

# %% [markdown]
# The posts come with the package. They are short messages in Levantine Arabic, written for this project. The notebook
# used tweets from Lebanon, called `arsentd-lev`. If you have them, set the environment variable
# `KAMMIL_LESSON_CORPUS=arsentd-lev` before you start. A file of your own works too, with one text a line:
# `KAMMIL_LESSON_CORPUS=my.txt`.
#
# ## The end
#
# The task is the notebook's: a model reads the first half of a post and writes the next 30 characters. We leave out
# posts that are too short for that.
#
# We also put some posts aside as an examination. No model may learn from them. They are called the *test part*, and
# the others are the *training part*. Part 2 shows what goes wrong without this step.
#
# The test part holds only posts that `levantine`, the model below, never read. So the same examination is fair to it
# and to the models that you build.

# %%
usable = [post for post in posts if len(post) >= 2 * TARGET]
train, test = lesson.split(usable)
lesson.say(f"{len(usable):,} posts are long enough: {len(train)} to learn from, {len(test)} to test with.")

# %% [markdown]
# Here is where this lesson leads. `levantine` is the model that comes with the package. Below it, for comparison,
# stands chance: characters drawn blindly. The settings `temperature` and `seed` are the subject of part 5.
#
# > **Guess first.** Will the model's words exist? Will its sentence make sense?

# %%
levantine = kammil.load()
letters = sorted(set("".join(train)))
dice = random.Random(0)


def chance() -> str:
    """Write characters without reading anything."""
    return "".join(dice.choice(letters) for _ in range(TARGET))


def finished(post: str) -> str:
    """Let levantine go on where the first half of a post ends."""
    return levantine.complete(post[: len(post) // 2], length=TARGET, temperature=0.7, seed=1).text


for post in test[:3]:
    half = len(post) // 2
    lesson.table(
        ("who", "the next characters"),
        ("the person", post[half : half + TARGET]),
        ("levantine", finished(post)),
        ("chance", chance()),
        note="begun: " + post[:half],
    )

# %% [markdown]
# A text whose sentences belong together is called *coherent*. A coherent text follows a plan. A model that looks one
# letter ahead has no plan. The model may also decide that the text ends here. Then it writes less.
#
# In the rest of this part we build the simplest model that can do such a thing.
#
# ## Look at the texts
#
# Never train on texts that you have not looked at. Here are five of them, and the shortest.

# %%
lesson.table(("length", "post"), *((len(post), post) for post in [*dice.sample(posts, 5), min(posts, key=len)]))

# %% [markdown]
# > **Guess first.** Half of the posts are shorter than how many characters?

# %%
lengths = sorted(map(len, posts))
lesson.say(f"The shortest has {lengths[0]}, the middle one {lengths[len(lengths) // 2]}, the longest {lengths[-1]}.")
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.hist(lengths, bins=40)
axes.axvline(2 * TARGET, color="black", linestyle=":", label="shorter ones are left out")
axes.set_xlabel("characters in a post")
axes.set_ylabel("number of posts")
axes.legend()
lesson.show(figure)

# %% [markdown]
# The dialect has no fixed spelling. One example is the word "tomorrow". If you clean such differences out of the texts,
# the model will never learn them.

# %%
spellings = {word: sum(word in post.split() for post in posts) for word in ("بكرا", "بكرة", "بكره")}
lesson.table(('"tomorrow" is written', "number of posts"), *spellings.items())

# %% [markdown]
# ## The vocabulary
#
# The model will choose from a list of characters: all that occur in the training part. The list is its *vocabulary*,
# and its length is called V.
#
# > **Guess first.** Arabic has 28 letters. How long is the list?

# %%
counts = Counter("".join(train))
total = counts.total()
V = len(counts)
common = [character for character, _ in counts.most_common(20)]
once = sum(n == 1 for n in counts.values())
top = sum(counts[c] for c in common) / total
lesson.say(f"V = {V}. The twenty commonest make {lesson.percent(top)} of all text; {once} occur only once.")
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.bar([lesson.letter(c) for c in common], [100 * counts[c] / total for c in common])
axes.set_ylabel("% of all characters")
axes.tick_params(axis="x", labelsize=11)
axes.set_xlim(19.6, -0.6)  # Arabic runs from right to left, and so does this axis
lesson.show(figure)
lesson.claim(counts.most_common(1)[0][0] == " ", "the space is the most frequent character")

# %% [markdown]
# Remember the highest bar: it is the **space**. To answer "a space" every time is right surprisingly often.
#
# ## A model in ten lines: count pairs
#
# A *language model* gives a probability to every character that could come next. The simplest one that reads anything
# reads one character. It answers from a table: after this character, how often did each other character come?
#
# Step one: count pairs. Step two: divide each row by its sum, so that counts become probabilities. Each count gets a
# tenth on top, so that a pair that never occurred is improbable and not impossible. Index 0 stands for characters that
# the training part does not have.
#
# The table is a *tensor*. That is PyTorch's array of numbers: one number, a list, a table, or a pile of tables.

# %%
index = {character: i for i, character in enumerate(letters, start=1)}
N = torch.zeros(V + 1, V + 1)
for post in train:
    for before, after in pairwise(post):
        N[index[before], index[after]] += 1
P = (N + 0.1) / (N + 0.1).sum(1, keepdim=True)  # row: the character before; column: the next one
assert torch.allclose(P.sum(1), torch.ones(V + 1))

# %% [markdown]
# That is a whole model. Here is its table, for the twenty commonest characters.
#
# > **Guess first.** Which character is followed by one and the same character most often?

# %%
places = [index[c] for c in common]
names = [lesson.letter(c) for c in common]
figure, axes = plt.subplots(figsize=(6, 5.2), layout="constrained")
picture = axes.imshow(100 * P[places][:, places], cmap="Blues")
axes.set_xticks(range(20), names)
axes.set_yticks(range(20), names)
axes.tick_params(axis="x", rotation=90)
axes.set_xlabel("the next character")
axes.set_ylabel("the character before it")
figure.colorbar(picture, label="%")
lesson.show(figure)
strongest = max((float(P[index[a], index[b]]), a, b) for a in common for b in common)
a, b = map(lesson.letter, strongest[1:])
lesson.say(f"After {a} comes {b} in {lesson.percent(strongest[0])} of all cases: the darkest square.")

# %% [markdown]
# Step three: write. Draw the next character by its probability, then the next from that one, and so on.


# %%
def pairs_write(text: str) -> str:
    """Go on with a text, by the table of pairs."""
    for _ in range(TARGET):
        row = P[index.get(text[-1], 0), 1:]
        text += letters[int(torch.multinomial(row, 1))]
    return text[-TARGET:]


lesson.table(("pairs write", "chance writes"), *((pairs_write(post[: len(post) // 2]), chance()) for post in test[:3]))

# %% [markdown]
# ## How good is it?
#
# We ask for each of the 30 characters after the half, always after the true ones. Two numbers say how good the
# answers are.
#
# - **Right**: how often the most probable character is the true one. This is called *accuracy*.
# - **Bits**: how surprised the model was. If it gave the true character the probability p, the surprise is
#   `log2(1 / p)` bits. One bit is one question with the answer yes or no.
#
# > **Guess first.** Half as probable: how many bits more?

# %%
for p in (1, 1 / 2, 1 / 4, 1 / V):
    print(f"probability {p:.4f}: {math.log2(1 / p):.2f} bits")

# %% [markdown]
# No score means anything alone. So we put two others beside it. One rolls a die with V sides. The other always says
# the space. The last row is the notebook's network, measured on its own tweets. (`benchmarks/notebook.py` trained it
# again; the package holds the figures.)
#
# > **Guess first.** Which is right more often, the table of pairs or the notebook's network?


# %%
def asked(post: str) -> list[tuple[int, int]]:
    """Return the index of each target character of a post, after that of the character before it."""
    half = len(post) // 2
    numbers = [index.get(c, 0) for c in post]
    return [(numbers[i - 1], numbers[i]) for i in range(half, half + TARGET)]


a, b = torch.tensor([pair for post in test for pair in asked(post)]).T
pair_bits, pair_right = float(-P[a, b].log2().mean()), float((P[a].argmax(1) == b).float().mean())
space_right = float((b == index[" "]).float().mean())
notebook = lesson.benchmark("notebook")
theirs = notebook["notebook"]["all_accuracy"]
lesson.table(
    ("who", "posts", "right", "bits per character"),
    (f"random (1/V, V = {V})", "ours", lesson.percent(1 / V), f"{math.log2(V):.2f}"),
    ("always a space", "ours", lesson.percent(space_right), ""),
    ("pairs", "ours", lesson.percent(pair_right), f"{pair_bits:.2f}"),
    ("always a space", "the notebook's tweets", lesson.percent(notebook["always_a_space"]["all"]), ""),
    ("the notebook", "the notebook's tweets", lesson.percent(theirs), f"{notebook['notebook']['all_bits']:.2f}"),
)
lesson.claim(pair_right > space_right, "the table of pairs is right more often than the space")
assert theirs < notebook["always_a_space"]["all"]

# %% [markdown]
# The posts differ, so compare each model with the row *always a space* of the same posts. Ten lines of counting are
# already beyond the space. The notebook's network is not. Part 4 says why.
#
# ## A longer memory
#
# Why read only one character? We count after two, three, four, too. But a long past may never have occurred in
# training. So the model mixes. It begins with the answer for no past at all. It corrects that by what came after the
# last character, then by what came after the last two, and so on. A past that was seen often has much weight. A past
# that many different characters followed has little.
#
# How long a memory is best? The test part must not say it: who chooses by the examination has seen the examination. So
# a fifth of the training part is *held out*. We count in the rest and choose by what was held out. Then we count in the
# whole training part, and look at the test part once. (`lesson.split` keeps texts that repeat each other on one side.
# Copies among the posts held out would praise a memory that is too long.)


# %%
def count(texts: list[str], memory: int) -> dict[str, Counter[str]]:
    """Return past -> how often each character came after it, for pasts of 0 to `memory` characters."""
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for i, character in enumerate(text):
            for n in range(min(i, memory) + 1):
                after[text[i - n : i]][character] += 1
    return after


def probability(after: dict[str, Counter[str]], memory: int, past: str, character: str) -> float:
    """Return how probable a character is after a past: shorter pasts first, longer ones correct them."""
    p = 1 / (V + 1)
    for n in range(min(len(past), memory) + 1):
        seen = after.get(past[len(past) - n :])
        if seen is None:
            break
        doubt = len(seen)  # how many different characters came here
        p = (seen[character] + doubt * p) / (seen.total() + doubt)
    return p


# %% [markdown]
# > **Guess first.** The memory grows from 1 to 6 characters. Do the bits always fall?


# %%
def bits_of(after: dict[str, Counter[str]], memory: int, texts: list[str]) -> float:
    """Return the average surprise at the target characters, in bits."""
    places = [(post, i) for post in texts for i in range(len(post) // 2, len(post) // 2 + TARGET)]
    return sum(-math.log2(probability(after, memory, post[:i], post[i])) for post, i in places) / len(places)


memories = range(1, 7)
rest, held_out = lesson.split(train, fair=False)
after = count(rest, max(memories))
bits = [bits_of(after, memory, held_out) for memory in memories]
MEMORY = memories[bits.index(min(bits))]
after = count(train, MEMORY)
counter_bits = bits_of(after, MEMORY, test)
shares = [probability(after, MEMORY, test[0][:20], character) for character in letters]
left = probability(after, MEMORY, test[0][:20], "\0")  # for each character that is not on the list
assert abs(sum(shares) + left - 1) < 1e-9
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.plot(memories, bits, marker="o")
axes.set_xlabel("characters of memory")
axes.set_ylabel("bits, posts held out")
lesson.show(figure)
lesson.say(
    f"The best memory is {MEMORY} characters, with {min(bits):.2f} bits; {memories[-1]} need {bits[-1]:.2f}. "
    f"The test part needs {counter_bits:.2f}."
)
lesson.claim(counter_bits < pair_bits - 0.2, "a memory of several characters saves a fifth of a bit")
lesson.claim(bits[-1] > min(bits), "too long a memory harms")

# %% [markdown]
# A longer memory helps at first. Then it harms: the model trusts pasts that it saw once or twice. To learn single
# cases by heart in place of rules is called *overfitting*. Part 4 comes back to it.
#
# The first point is not the table of pairs: this counter has another rule for rare pairs, and other posts to judge. The
# test part surprises it more than the posts held out. They were any of the training part; the test part holds only
# posts that `levantine` never read.
#
# We call this model **the counter**. Kammil has one of its own, `kammil.train(model="ngram")`: the same idea with a
# finer rule for rare pasts and a longer memory. (*n-gram* is a run of n characters.) Let us put both into the table.


# %%
def guess(past: str) -> str:
    """Return the most probable character."""
    return max(letters, key=lambda character: probability(after, MEMORY, past, character))


def accuracy_of_guesses(texts: list[str]) -> float:
    """Return how often the guess is right for the target characters."""
    places = [(post, i) for post in texts for i in range(len(post) // 2, len(post) // 2 + TARGET)]
    return sum(guess(post[:i]) == post[i] for post, i in places) / len(places)


folder = Path(tempfile.mkdtemp())
kammil.train(train, model="ngram", out=folder / "counter", listen=lambda event: None, report=False)
library = kammil.evaluate(kammil.load(folder / "counter"), test).model
counter_right = accuracy_of_guesses(test)
lesson.table(
    ("who", "right", "bits per character"),
    ("random (1/V)", lesson.percent(1 / V), f"{math.log2(V):.2f}"),
    ("pairs", lesson.percent(pair_right), f"{pair_bits:.2f}"),
    (f"our counter, memory {MEMORY}", lesson.percent(counter_right), f"{counter_bits:.2f}"),
    ("Kammil's counter", lesson.percent(library.target_top1.value), f"{library.target_bits_per_character.value:.2f}"),
)
lesson.claim(pair_right < counter_right, "our counter is right more often than the table of pairs")

# %% [markdown]
# ## Do the words exist?
#
# Let the models write. Without reading Arabic we can count words: let a word "exist" if it occurs in the training
# part.
#
# > **Guess first.** What share of the words of a *real* post exists in that sense? People always write some words that
# > nobody wrote before.

# %%
WORD = r"[^\W\d_]{2,}"  # two letters or more
of_train = Counter(word for post in train for word in re.findall(WORD, post))
known, frequent = set(of_train), {word for word, _ in of_train.most_common(100)}


def counter_writes(text: str) -> str:
    """Go on with a text, by the counter."""
    for _ in range(TARGET):
        chances = [probability(after, MEMORY, text, character) for character in letters]
        text += dice.choices(letters, chances)[0]
    return text[-TARGET:]


def share_known(texts: list[str], known: set[str] = known) -> float:
    """Return the share of words that are known; the first and the last may be cut, so they are left out."""
    words = [word for text in texts for word in re.findall(WORD, text)[1:-1]]
    return sum(word in known for word in words) / max(1, len(words))


begun = [post[: len(post) // 2] for post in test]
written = {
    "the people": [post[len(post) // 2 :][:TARGET] for post in test],
    "pairs": [pairs_write(text) for text in begun],
    "our counter": [counter_writes(text) for text in begun],
    "levantine": [finished(post) for post in test],
    "chance (1/V)": [chance() for _ in test],
}
early = sum(len(text) < TARGET for text in written["levantine"])
lesson.say(f"`levantine` ended {early} of its {len(test)} texts early.")
shares = {name: share_known(texts) for name, texts in written.items()}
usual = {name: share_known(texts, frequent) for name, texts in written.items()}
lesson.table(
    ("who", "words that exist", f"among the {len(frequent)} most frequent"),
    *((name, lesson.percent(share), lesson.percent(usual[name])) for name, share in shares.items()),
)
assert share_known([train[0]] * 5) == 1
lesson.claim(
    shares["levantine"] > shares["the people"] and usual["levantine"] > usual["the people"],
    "`levantine` writes more words that exist than the people, and more of the most frequent ones",
)
lesson.claim(
    shares["chance (1/V)"] < shares["pairs"] < shares["our counter"] < shares["levantine"],
    "the longer the memory, the more words exist",
)

# %% [markdown]
# Nobody told these models what a word is. They learnt it from letters, and the longer memory learnt it better.
#
# `levantine` has a higher share than the people. It is not better than they are. It prefers what is probable, and so it
# writes more of the most frequent words, as the last column shows. People write rare words too.
#
# One warning. A high share is not yet good writing. A model that copies one post of the training part again and again
# has all words right: the cell asserts it. Every measure hides something, and part 7 collects what each hides.
#
# ## The same table, learnt
#
# Counting is perfect for a table of pairs. For a network nobody knows what to count, so a network *learns*: it begins
# with any numbers and changes them, step by step, so that its surprise falls. Let us learn something that we can also
# count, to see that it works.
#
# We begin with **one number**. How often is a character a space? Let `w` be any number. The function *sigmoid*,
# `1 / (1 + e ** -w)`, turns it into a probability between 0 and 1. The average surprise at the training part is called
# the *loss*: it says how wrong `w` is.
#
# `w` is a tensor, too. `requires_grad=True` asks PyTorch to remember each step of a computation with it.

# %%
share = counts[" "] / total


def loss_of(w: torch.Tensor) -> torch.Tensor:
    """Return the average surprise, in bits, at "space" and "no space" if a space has the probability sigmoid(w)."""
    p = torch.sigmoid(w)
    return -(share * p.log2() + (1 - share) * (1 - p).log2())


w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
print(f"w = {w.item()}: a space has the probability {torch.sigmoid(w).item():.2f}, the loss is {loss_of(w).item():.3f}")
assert torch.isclose(torch.sigmoid(w), 1 / (1 + math.e**-w))

# %% [markdown]
# Should `w` grow or fall? Try it: make `w` a little larger and see what the loss does. The change of the loss divided
# by the change of `w` is the *gradient*, the slope of the loss at this place.
#
# `loss.backward()` computes the same slope without trying. PyTorch has kept every step from `w` to the loss, and goes
# the steps backwards. The result is in `w.grad`.

# %%
little = 1e-6
tried = (loss_of(w + little) - loss_of(w)) / little
loss = loss_of(w)
loss.backward()
print(f"slope by trying: {tried.item():.4f}; by backward(): {w.grad.item():.4f}")
assert abs(tried - w.grad) < 1e-4

# %% [markdown]
# The slope is positive: a larger `w` makes the loss larger. So `w` must fall. A *step* takes away the slope times a
# fixed number, the *learning rate*. Then the slope is computed anew at the new place, and so on.
#
# > **Guess first.** When `w` comes to rest, which probability does it stand for?

# %%
RATE = 1.0
path = []
for _ in range(40):
    loss = loss_of(w)
    path.append((w.item(), loss.item()))
    w.grad = None  # backward() adds to what stands there, so forget the slope of the step before
    loss.backward()
    with torch.no_grad():  # the step itself is no part of the loss
        w -= RATE * w.grad
learnt = torch.sigmoid(w).item()

figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
line = torch.linspace(-4, 2.5, 200, dtype=torch.float64)
axes.plot(line, loss_of(line), color="grey", label="loss")
axes.plot(*zip(*path, strict=True), marker="o", markersize=4, linestyle="none", label="steps")
axes.set_xlabel("w")
axes.set_ylabel("bits")
axes.legend()
lesson.show(figure)
lesson.say(f"Learnt: a space has the probability {learnt:.4f}. Counted: {share:.4f}.")
lesson.claim(abs(learnt - share) < 1e-3, "forty steps come to the share that was counted")

# %% [markdown]
# The steps went downhill until the slope was zero. There stands what counting says.
#
# Now the whole table. `W` has a number for each pair, at first all zero. Each row must become probabilities. For many
# numbers at once that is done by `softmax`: take `e` to the power of each number, and divide by the sum.
#
# Each step looks at some pairs drawn from the training part. They are called a *batch*. One call of `backward()`
# computes the slope for every number of the table.
#
# The loss is a mean over all pairs of the batch. So the slope for one number is small, and the learning rate is large.
#
# > **Guess first.** How near will the bits come to those of the counted table?

# %%
numbers = [[index[c] for c in post] for post in train]
x = torch.tensor([i for row in numbers for i in row[:-1]])  # the character before
y = torch.tensor([i for row in numbers for i in row[1:]])  # the next one
W = torch.zeros(V + 1, V + 1, requires_grad=True)
STEPS, BATCH, RATE = 3000, 1000, 200.0


def surprise(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return the average surprise of the table W, in bits: the loss."""
    p = W[before].softmax(1)
    return -p[torch.arange(len(after)), after].log2().mean()


curve = []
for step in range(STEPS):
    if step % 100 == 0:
        with torch.no_grad():
            curve.append((step, surprise(a, b).item()))
    batch = torch.randint(len(x), (BATCH,))
    loss = surprise(x[batch], y[batch])
    W.grad = None
    loss.backward()
    if step == 0:
        moved = RATE * W.grad.abs().amax(1)  # for each character before
    with torch.no_grad():
        W -= RATE * (1 - step / STEPS) * W.grad  # ever smaller steps

with torch.no_grad():
    learnt_bits = surprise(a, b).item()
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.plot(*zip(*curve, strict=True), label="learnt")
axes.axhline(pair_bits, color="black", linestyle=":", label="counted")
axes.set_xlabel("steps")
axes.set_ylabel("bits, test part")
axes.legend()
lesson.show(figure)
lesson.say(
    f"The untrained table needs {curve[0][1]:.2f} bits, as the die with its {V + 1} sides does. "
    f"The learnt one needs {learnt_bits:.2f}, the counted one {pair_bits:.2f}."
)
lesson.say(
    f"The first step moved a number in the row of the space by {moved[index[' ']]:.1f}, "
    f"and none by more than {moved[index[common[-1]]]:.2f} in the row of the twentieth character."
)
lesson.claim(abs(learnt_bits - pair_bits) < 0.1, "the learnt table is as good as the counted one")
assert abs(curve[0][1] - math.log2(V + 1)) < 1e-3

# %% [markdown]
# Why does the curve jump? One learning rate serves all rows. For rare characters it is still small. For the space it is
# too large: the step goes beyond the goal, and the loss rises. Smaller steps, at the end, calm it.
#
# The same table, by another way. Why take it? Because this way does not ask what the numbers *are*. Put any formula
# with adjustable numbers between the text and the loss, and `backward()` says how to change each number. The formulas
# of the next parts read the whole past, not one character. Such formulas are called *neural networks*.
#
# ## What to keep
#
# - A language model gives a probability to each character that could come next. It writes by drawing, again and again.
# - *Accuracy* says how often the first guess is right. *Bits* say how surprised the model was. Put a baseline beside
#   both.
# - The counter is a model of a page of code. Too long a memory harms it.
# - Learning: compute the loss, let `backward()` compute the slope for each number, take a step downhill, repeat.
# - Look at texts before you train.
#
# ## Exercises
#
# Replace each `...` and run the cell. The check says whether your answer is right.
#
# 1. A model gives the four characters of a word the probabilities 1/2, 1/4, 1/8 and 1/8. How many bits do the four
#    need together?

# %%
answer_1 = ...
lesson.check(answer_1, -math.log2(1 / 2 * 1 / 4 * 1 / 8 * 1 / 8), "add the surprises log2(1 / p) of the four")

# %% [markdown]
# 2. Which pairs of neighbouring characters occur in the test part and never in the training part? Write a function of
#    two lists of texts, `learn` and `judge`. It returns a set of tuples: the neighbours in `judge` that are nowhere
#    neighbours in `learn`. Without the tenth on top, the model would call each of them impossible.

# %%
answer_2 = ...  # the function
lesson.check(answer_2, lambda new: new(["abc", "ca"], ["abca", "bb", "ad"]) == {*pairwise("bb"), *pairwise("ad")})

# %% [markdown]
# 3. Here is another loss: `(w - 5) ** 2`. Write a function of `start`, `rate` and `steps` that begins at `start`, takes
#    so many steps with the slope of `backward()`, and returns the last `w` as a number. Set `w.grad = None` before each
#    `backward()`, as above.

# %%
answer_3 = ...  # the function
lesson.check(answer_3, lambda descend: abs(descend(0.0, 0.1, 100) - 5) < 1e-3, "the steps must end near 5")

# %% [markdown]
# 4. Find a learning rate with which `w` runs away, beyond 1000 in 100 steps.

# %%
answer_4 = ...
lesson.check(answer_4, lambda rate: not abs(answer_3(0.0, rate, 100)) <= 1000, "try a larger one")

# %% [markdown]
# The answers stand in [a file of their own](solutions/1_see_the_end.py).
#
# Next: [2. Pairs, numbers, blanks](2_pairs_and_padding.ipynb).

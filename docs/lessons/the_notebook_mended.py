# %% [markdown]
# # The notebook, mended in three diffs
#
# This page is for readers of the notebook "Generative RNNs: Text Completion". (All others begin with [part
# 1](1_see_the_end.ipynb); what is short here is explained there.) It goes through the notebook in its own order: load,
# vocabulary, pairs, padding, split, network, training with curves, texts at three temperatures, a prompt of your own,
# the picture of the next character, summary. On the way it mends the network in three diffs of a few lines, and
# measures each.
#
# Every step runs here, in seconds, on the posts of the package. Beside it stands what the same step brings on the
# notebook's own tweets, with its own split and its own number of passes. (`benchmarks/notebook.py` measured that.) With
# `KAMMIL_LESSON_CORPUS=arsentd-lev` all of it runs on those tweets. [A page of its own](../you-have-the-notebook.md)
# says for each part of the notebook which command of Kammil does the same.

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
import difflib
import inspect
import math
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import kammil

PASSES, MORE_PASSES = 2, 8  # the network that is to write goes on
TARGET = 30
torch.manual_seed(42)  # the notebook's seed
measured, mended = lesson.benchmark("notebook"), lesson.benchmark("notebook_mended")

# %% [markdown]
# ## Load
#
# The notebook reads a table of tweets and takes those from Lebanon. It prints how many there are, and five of them.

# %%
everything = lesson.posts()
posts = [post for post in everything if len(post) >= 2 * TARGET]
lesson.say(f"{len(everything):,} posts, of which {len(posts):,} have {2 * TARGET} characters or more.")
lesson.table(("length", "post"), *((len(post), post) for post in posts[:5]))

# %% [markdown]
# ## Vocabulary
#
# All characters, those of the test posts included, as the notebook has it. (Part 2 says why that is not fair to a
# character that comes tomorrow.) Number 0 is the blank.

# %%
characters = sorted(set("".join(posts)))
index = {c: i + 1 for i, c in enumerate(characters)}
V = len(index) + 1
print(f"V = {V} with the blank; the space has number {index[' ']}")
lesson.table(("", "characters"), ("first 20", " ".join(characters[:20])), ("last 20", " ".join(characters[-20:])))

# %% [markdown]
# **A slip: "indices 2 to 246".** The notebook's text says that its characters have these numbers. Its code numbers them
# from 1, behind the blank. A row 246 does not exist in its embedding.

# %%
data = mended["data"]
lesson.say(
    f"The notebook's tweets have characters {data['first_index']} to {data['last_index']}, and V = "
    f"{data['vocabulary']} with the blank; our posts have {min(index.values())} to {max(index.values())}, V = {V}."
)
assert data["last_index"] == data["vocabulary"] - 1
try:
    nn.Embedding(data["vocabulary"], 128)(torch.tensor([data["vocabulary"]]))
except IndexError as error:
    print("looked up the number V:", error)
else:
    raise AssertionError("there is such a row")

# %% [markdown]
# ## Pairs
#
# The first half goes in; the next 30 characters are to come out.


# %%
def pair(post: str) -> tuple[str, str]:
    """Return the first half of a post, and the characters after it."""
    half = len(post) // 2
    return post[:half], post[half:][:TARGET]


lesson.table(("half", "the next characters"), *map(pair, posts[:3]))

# %% [markdown]
# **A slip: an example that is under 60.** The notebook takes texts of 60 characters or more, so that each has 30 to
# guess, and then explains its task with a shorter one. No such text is in its data, and most of them have no 30
# characters left.

# %%
short = [post for post in everything if len(post) < 2 * TARGET]
left = [len(post) - len(post) // 2 for post in short]
lesson.say(
    f"{len(short)} of our posts are under 60; in {sum(n < TARGET for n in left)} of them the second half is under 30."
)
assert all(n <= TARGET for n in left)

# %% [markdown]
# ## Encode and pad
#
# A rectangle of numbers for all halves, and one for all targets. Blanks fill the ends.


# %%
def padded(texts: list[str]) -> Tensor:
    """Return texts as rows of numbers (N, T), with blanks at their ends."""
    return nn.utils.rnn.pad_sequence([torch.tensor([index[c] for c in text]) for text in texts], batch_first=True)


def rows(posts: list[str]) -> tuple[Tensor, Tensor]:
    halves = padded([post[: len(post) // 2] for post in posts])
    targets = padded([post[len(post) // 2 :][:30] for post in posts])
    return halves, targets


halves, targets = rows(posts)
print("halves:", *halves.shape, " targets:", *targets.shape)
print(f"{100 * (halves == 0).float().mean():.0f} % of the halves' numbers are blanks")
assert "".join(characters[i - 1] for i in halves[0].tolist() if i) == pair(posts[0])[0]  # nothing is lost

# %% [markdown]
# ## Split
#
# The notebook draws a fifth of its tweets by chance. Tweets are shared, so copies fall on both sides. `lesson.split`
# keeps texts that resemble each other on one side.

# %%
train, test = lesson.split(posts)
lesson.say(
    f"{len(train)} posts to learn from, {len(test)} to test with. In the notebook's split by chance"
    f" {measured['tweets']['test_in_train']} of the {measured['tweets']['test']} test tweets are exactly equal to a"
    " training tweet."
)

# %% [markdown]
# ## The network as it is
#
# An embedding, a GRU, dropout and an output layer, with the notebook's sizes. Half of a post goes in, filled up with
# blanks. Then the last state is shown to the output layer thirty times.


# %%
class AsItIs(nn.Module):
    """The notebook's network."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, 128, padding_idx=0)
        self.rnn = nn.GRU(128, 256, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(256, V)

    def forward(self, halves: Tensor, targets: Tensor) -> Tensor:
        _, hidden = self.rnn(self.embedding(halves))
        states = torch.stack([hidden[0]] * targets.shape[1], dim=1)  # the same state, thirty times
        return self.output(self.dropout(states))


# %% [markdown]
# The training is the notebook's, too: Adam, its learning rate, weight decay, clipping and batches. Blanks in the
# targets do not count.


# %%
def learn(
    network: AsItIs,
    read: Tensor,
    targets: Tensor,
    passes: int = PASSES,
    after_pass: Callable[[AsItIs], None] = lambda network: None,
) -> AsItIs:
    """Train a network; `after_pass` is called after each pass over the posts."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
    for _ in range(passes):
        network.train()
        for batch in torch.randperm(len(read)).split(32):
            optimiser.zero_grad()
            scores = network(read[batch], targets[batch])
            F.cross_entropy(scores.flatten(0, 1), targets[batch].flatten(), ignore_index=0).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
        after_pass(network.eval())
    return network


def judge(network: AsItIs, read: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the share of characters that are right and the bits per character; blanks in the targets do not count."""
    with torch.no_grad():
        scores = network(read, targets)
    asked = targets != 0
    right = (scores.argmax(-1) == targets)[asked].float().mean().item()
    return right, F.cross_entropy(scores[asked], targets[asked]).item() / math.log(2)


def seeded(kind: type[AsItIs]) -> AsItIs:
    """Return a new network with the notebook's seed."""
    torch.manual_seed(42)
    return kind()


# %% [markdown]
# > **Guess first.** Always a space: how many characters are right? And the notebook's network?

# %%
print(AsItIs())
lesson.say(f"{sum(p.numel() for p in AsItIs().parameters()):,} parameters; mostly the GRU's (part 3).")
steps = {"the code as it is": judge(learn(seeded(AsItIs), *rows(train)), *rows(test))}
truth = [pair(post)[1] for post in test]
space = sum(target.count(" ") for target in truth) / sum(map(len, truth))
oracle = sum(max(Counter(target).values()) for target in truth) / sum(map(len, truth))
tweets = measured["notebook"]["all_accuracy"]
lesson.table(
    ("characters right", "our posts", "the notebook's tweets"),
    ("random (1/V)", lesson.percent(1 / V), lesson.percent(1 / mended["data"]["vocabulary"])),
    ("always a space", lesson.percent(space), lesson.percent(measured["always_a_space"]["all"])),
    ("the code as it is", lesson.percent(steps["the code as it is"][0]), lesson.percent(tweets)),
    ("the oracle with one answer", lesson.percent(oracle), lesson.percent(measured["one_answer"]["all"])),
)
lesson.claim(abs(steps["the code as it is"][0] - space) < 0.01, "the network scores what the space scores")
assert abs(tweets - measured["always_a_space"]["all"]) < 0.01
lesson.claim(oracle - space < 0.05, "one answer for thirty places is hardly better than the space")
assert measured["one_answer"]["all"] - measured["always_a_space"]["all"] < 0.05

# %% [markdown]
# The network says a space, thirty times. The last row says why more layers or more passes cannot help. The same state
# gives the same answer, so there is one answer for thirty places. An *oracle* that looks at each true target and says
# its most frequent character everywhere is the best that one answer can be, and it has hardly more.
#
# ## Diff 1: feed the truth
#
# Before each character the network reads the true one before it: *teacher forcing* (part 4).


# %%
class FedTheTruth(AsItIs):
    """The first diff."""

    def forward(self, halves: Tensor, targets: Tensor) -> Tensor:
        _, hidden = self.rnn(self.embedding(halves))
        states, _ = self.rnn(self.embedding(targets[:, :-1]), hidden)  # each after the true characters before it
        states = torch.cat([hidden[0][:, None], states], dim=1)
        return self.output(self.dropout(states))


def show_diff(before: Callable[..., object], after: Callable[..., object]) -> int:
    """Print what changes between two functions; return how many lines are new."""
    old, new = (inspect.cleandoc("\n" + inspect.getsource(f)).splitlines() for f in (before, after))
    lines = list(difflib.unified_diff(old, new, n=99, lineterm=""))[3:]
    print("\n".join(lines))
    return sum(line.startswith("+") for line in lines)


new = [show_diff(AsItIs.forward, FedTheTruth.forward)]
steps["1: fed the truth"] = judge(learn(seeded(FedTheTruth), *rows(train)), *rows(test))

# %% [markdown]
# ## Diff 2: learn from every character
#
# The characters of the first half are as good to learn from. So a post is one row, and each character of it is a
# question. Now blanks stand behind the text, where nothing reads them before it answers.


# %%
class EveryCharacter(AsItIs):
    """The second diff, in the network."""

    def forward(self, texts: Tensor, targets: Tensor) -> Tensor:
        states, _ = self.rnn(self.embedding(texts))
        return self.output(self.dropout(states))


def whole_rows(posts: list[str]) -> tuple[Tensor, Tensor]:
    texts = padded(posts)
    return texts[:, :-1], texts[:, 1:]


def only_thirty(targets: Tensor, posts: list[str]) -> Tensor:
    """Return targets in which all but the thirty characters of the task are blanks, for `judge`."""
    targets = targets.clone()
    for row, post in zip(targets, posts, strict=True):
        first = len(post) // 2 - 1
        row[:first] = row[first + 30 :] = 0
    return targets


new.append(show_diff(FedTheTruth.forward, EveryCharacter.forward) + show_diff(rows, whole_rows))
read, target_rows = whole_rows(test)
history = list[tuple[float, float, float]]()  # after each pass: right, bits, and bits of some training posts


def watch(network: AsItIs) -> None:
    """Judge the network on the test posts, and on as many training posts."""
    seen, seen_targets = whole_rows(train[: len(test)])
    learnt = judge(network, seen, only_thirty(seen_targets, train[: len(test)]))
    history.append((*judge(network, read, only_thirty(target_rows, test)), learnt[1]))


every = learn(seeded(EveryCharacter), *whole_rows(train), passes=MORE_PASSES, after_pass=watch)
steps["2: every character"] = history[PASSES - 1][:2]

# %% [markdown]
# ## Curves
#
# The mended network goes on for some passes more, so that it can write. Accuracy and bits (the loss, divided by the
# logarithm of 2) after each pass, as the notebook draws them.
#
# > **Guess first.** Do the bits of the test posts fall to the end?

# %%
right, bits, learnt = map(np.array, zip(*history, strict=True))
figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
passes = range(1, len(history) + 1)
left.plot(passes, learnt, "o-", label="training posts")
left.plot(passes, bits, "o-", label="test posts")
left.axhline(math.log2(V), color="grey", linestyle=":", label="random: log2 V")
left.set_ylabel("bits per character")
middle.plot(passes, 100 * right, "o-", color="C1", label="test posts")
middle.axhline(100 * space, color="grey", linestyle=":", label="always a space")
middle.set_ylabel("right, %")
for axes in (left, middle):
    axes.set_xlabel("passes")
    axes.legend(fontsize=8)
lesson.show(figure)
best = int(bits.argmin()) + 1
lesson.say(
    f"The bits of the test posts fall to the end, pass {best}: it could learn for longer."
    if best == len(history)
    else f"The bits of the test posts are fewest after pass {best}: from there on it learns by heart."
)

# %% [markdown]
# ## Diff 3: Kammil's blend
#
# A GRU that learnt from every character, and a counter beside it (part 1). A small network decides at each letter which
# of the two to believe (part 7). So that it learns in seconds, three more things change: the state is smaller than the
# notebook's, and so are the batches, and the learning rate is higher.


# %%
def last_step(train: list[str]) -> AsItIs:
    return learn(seeded(EveryCharacter), *whole_rows(train))


def with_kammil(train: list[str]) -> kammil.Completer:
    out = Path(tempfile.mkdtemp()) / "blend"
    small = {"hidden": 64, "embedding": 32, "epochs": PASSES, "batch_size": 16, "learning_rate": 0.004}
    kammil.train(train, model="blend", out=out, listen=lambda event: None, report=False, **small)
    return kammil.load(out)


new.append(show_diff(last_step, with_kammil))
figures = kammil.evaluate(with_kammil(train), test).model
steps["3: Kammil's blend"] = (figures.target_top1.value, figures.target_bits_per_character.value)

# %% [markdown]
# How much of that is counting? Kammil's counter alone learns from the same posts.

# %%
folder = Path(tempfile.mkdtemp()) / "counter"
kammil.train(train, model="ngram", out=folder, listen=lambda event: None, report=False)
figures = kammil.evaluate(kammil.load(folder), test).model
counter = (figures.target_top1.value, figures.target_bits_per_character.value)

# %% [markdown]
# ## All together
#
# > **Guess first.** Which diff brings most?

# %%
names = dict(zip(steps, ("notebook", "truth", "every", "blend"), strict=True))
tweets = {step: measured[key] if key == "notebook" else mended[key] for step, key in names.items()}
lesson.table(
    ("step", "right", "bits", "right, the notebook's tweets", "right, without copies", "bits, without copies"),
    ("random (1/V)", lesson.percent(1 / V), f"{math.log2(V):.2f}", "", "", ""),
    *(
        (name, lesson.percent(ours), "", *(lesson.percent(measured[key][part]) for part in ("all", "clean")), "")
        for name, ours, key in (
            ("always a space", space, "always_a_space"),
            ("the oracle with one answer", oracle, "one_answer"),
        )
    ),
    *(
        (
            step,
            lesson.percent(right),
            f"{bits:.2f}",
            lesson.percent(tweets[step]["all_accuracy"]),
            lesson.percent(tweets[step]["clean_accuracy"]),
            f"{tweets[step]['clean_bits']:.2f}",
        )
        for step, (right, bits) in steps.items()
    ),
    ("Kammil's counter alone", lesson.percent(counter[0]), f"{counter[1]:.2f}", "", "", ""),
    note=f"Our posts: {PASSES} passes. The notebook's tweets: its 20 passes; Kammil's blend with its own settings.",
)
lesson.say(f"New lines of the three diffs: {new[0]}, {new[1]} and {new[2]}.")
assert max(new) <= 6
blend, before = steps["3: Kammil's blend"], steps["2: every character"]
gained = (counter[0] - before[0]) / (blend[0] - before[0])
lesson.say(
    f"{'Most' if gained > 0.5 else 'Part'} of diff 3 is counting: the counter alone has {lesson.percent(counter[0])}"
    f" right, the blend {lesson.percent(blend[0])}. In bits the counter is"
    f" {'ahead' if counter[1] < blend[1] else 'behind'} here, {counter[1]:.2f} against {blend[1]:.2f}."
)
figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
at = np.arange(len(steps))
axes.bar(at - 0.2, [100 * right for right, _ in steps.values()], 0.4, label="our posts, here")
axes.bar(
    at + 0.2, [100 * tweets[step]["clean_accuracy"] for step in steps], 0.4, label="the notebook's tweets, not copied"
)
axes.axhline(100 * oracle, color="grey", linestyle=":", label="oracle, our posts")
axes.set_xticks(at, [step.replace(": ", ":\n") for step in steps], fontsize=9)
axes.set_ylabel("characters right, %")
axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
lesson.show(figure)
bits_of = [bits for _, bits in steps.values()]
lesson.claim(bits_of == sorted(bits_of, reverse=True), "each step saves bits")
lesson.claim(steps["1: fed the truth"][0] > oracle, "fed the truth, it has more than one answer can ever have")
brings = {"on our posts": np.diff([right for right, _ in steps.values()])}
for part, name in (("all", "on the notebook's tweets"), ("clean", "on those without copies")):
    shares = [tweets[step][f"{part}_accuracy"] for step in steps]
    assert shares == sorted(shares)
    brings[name] = np.diff(shares)
ordinal = ("first", "second", "third")
most = ", ".join(f"the {ordinal[int(gains.argmax())]} {name}" for name, gains in brings.items())
lesson.say(f"Which diff brings most? {most.capitalize()}. The networks of the notebook's tweets had more passes.")

# %%
copied = tweets["3: Kammil's blend"]
lesson.say(
    f"Beware of the column of all test tweets: {measured['tweets']['test_in_train']} of the "
    f"{measured['tweets']['test']} are exactly equal to a training tweet, {measured['tweets']['test_near']} with near "
    "copies, and a counter knows copies by heart. So the blend has "
    f"{lesson.percent(copied['all_accuracy'])} there, and {lesson.percent(copied['clean_accuracy'])} where nothing is "
    "copied. Only the second figure says what it does with a new tweet."
)
assert copied["all_accuracy"] - copied["clean_accuracy"] > 0.1

# %% [markdown]
# ## The mended network writes
#
# It reads a half, and then what it has written itself. (Part 4 measures what that costs.) Each example draws with
# random numbers of its own. With the same ones for all, a young network would write the same letters after any half.
#
# **A slip: temperature 0.** The notebook divides the scores by the temperature. At 0 that is a division by zero, and
# nothing can be drawn from what comes out. The way out is one line: at 0 take the greatest score.

# %%
scores = torch.tensor([2.0, 1.0, 0.0])
print("divided by 0:", F.softmax(scores / 0, dim=-1))
try:
    torch.multinomial(F.softmax(scores / 0, dim=-1), 1)
except RuntimeError as error:
    print("drawn from that:", error)
else:
    raise AssertionError("something was drawn")


def drawn(scores: Tensor, temperature: float, dice: torch.Generator | None = None) -> int:
    """Return the number of the next character."""
    if temperature == 0:
        return int(scores.argmax())
    return int(torch.multinomial(F.softmax(scores / temperature, dim=-1), 1, generator=dice))


def after(text: str) -> Tensor:
    """Return the scores of what comes after a text; the blank is never written."""
    ids = torch.tensor([[index[c] for c in text if c in index]])
    with torch.no_grad():
        scores = every(ids, ids)[0, -1]
    return scores.index_fill(0, torch.tensor([0]), -math.inf)


def complete_text(text: str, temperature: float = 0.5, seed: int = 0, length: int = TARGET) -> str:
    """Go on with a text."""
    dice, written = torch.Generator().manual_seed(seed), ""
    for _ in range(length):
        written += characters[drawn(after(text + written), temperature, dice) - 1]
    return written


assert drawn(scores, 0) == 0
TEMPERATURES = (0, 0.5, 1, 1.5)
for number, post in enumerate(test[:5]):
    half, true = pair(post)
    lesson.table(
        ("", "text"),
        ("input", half),
        ("truth", true),
        *(("greedy" if t == 0 else f"T = {t}", complete_text(half, t, seed=number)) for t in TEMPERATURES),
    )

# %% [markdown]
# Greedy texts run in circles, those at 1.5 are rubble, and none of them is a sentence. After so few passes over so few
# posts no network writes one. [Part 5](5_sampling.ipynb) measures the temperatures, with a model that has read more.
#
# ## A prompt of your own
#
# Change the prompt and run the cell again. In a terminal, `kammil type` and `kammil complete` do that.

# %%
prompt = "شو رأيكم نطلع"
for t in TEMPERATURES:
    print(f"T = {t}: {prompt}{complete_text(prompt, t)}")

# %% [markdown]
# ## The next character
#
# The notebook's last picture, for the same prompt.
#
# > **Guess first.** At which temperature is the first bar highest?

# %%
shown = 10
figure, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for axes, t in zip(panels, TEMPERATURES[1:], strict=True):
    p = F.softmax(after(prompt) / t, dim=-1)
    top = p.topk(shown)
    axes.bar(range(shown), 100 * top.values)
    axes.set_xticks(range(shown), [lesson.letter(characters[i - 1]) for i in top.indices.tolist()], fontsize=9)
    axes.invert_xaxis()
    axes.set_title(f"T = {t}; all others: {lesson.percent(1 - top.values.sum().item())}", fontsize=9)
panels[0].set_ylabel("probability, %")
lesson.show(figure)

# %% [markdown]
# ## The same with Kammil
#
# Its Part 4, the training, is one line: `kammil train FILE --model gru --raw`. Its Parts 5 and 6, in which the network
# completes texts, are another; `-n` is the number of texts. This is `levantine`, the model of the package.

# %%
command = ["complete", "شو رأيكم نطلع", "--preset", "plain", "--temperature", "1", "-n", "3"]
print("$ kammil", *(f'"{word}"' if " " in word else word for word in command))
done = subprocess.run(
    [sys.executable, "-X", "utf8", "-m", "kammil", *command], check=True, stdout=subprocess.PIPE, encoding="utf-8"
)
print(done.stdout)
assert done.stdout.count("\n") >= 3

# %% [markdown]
# Five test texts with the truth, beside all figures: `kammil evaluate FOLDER FILE --samples 5 --min-length 60`.
# [You have the notebook](../you-have-the-notebook.md) has every command of this road.
#
# ## Summary
#
# - The notebook's network gives one answer thirty times, so it scores what a space scores. Three diffs of a few lines
#   mend it: feed the truth, learn from every character, count beside the network.
# - Copies on both sides of a split measure memory. A score without a baseline beside it says nothing.
# - A text that a network writes alone is judged by reading, or by its bits after the truth, never letter by letter.
#
# The line from here: [part 2](2_pairs_and_padding.ipynb) is about blanks and leaks, [part 4](4_teacher_forcing.ipynb)
# about what a decoder reads, [part 5](5_sampling.ipynb) about temperatures.

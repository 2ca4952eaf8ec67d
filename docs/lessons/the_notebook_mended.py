# %% [markdown]
# # The notebook, mended in three diffs
#
# This page is for readers of the notebook "Generative RNNs: Text Completion". (All others begin with [part
# 1](1_see_the_end.ipynb); what is short here is explained there.) It shows the notebook's network as it is, mends it in
# three diffs of a few lines, and measures each step.
#
# Every step runs here, in seconds, on the posts of the package. Beside it stands what the same step brings on the
# notebook's own tweets, with its own split and its own number of passes. (`benchmarks/notebook.py` measured that.)

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

PASSES = 2
posts = [post for post in lesson.posts() if len(post) >= 60]
train, test = lesson.split(posts)
index = {c: i + 1 for i, c in enumerate(sorted(set("".join(posts))))}  # of all posts, as the notebook does; 0: blank
V = len(index) + 1
measured, mended = lesson.benchmark("notebook"), lesson.benchmark("notebook_mended")
print(f"{len(train)} posts to learn from, {len(test)} to test with; V = {V}")

# %% [markdown]
# ## The code as it is
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


def padded(texts: list[str]) -> Tensor:
    """Return texts as rows of numbers (N, T), with blanks at their ends."""
    return nn.utils.rnn.pad_sequence([torch.tensor([index[c] for c in text]) for text in texts], batch_first=True)


def rows(posts: list[str]) -> tuple[Tensor, Tensor]:
    halves = padded([post[: len(post) // 2] for post in posts])
    targets = padded([post[len(post) // 2 :][:30] for post in posts])
    return halves, targets


# %% [markdown]
# The training is the notebook's, too: Adam, its learning rate, weight decay, clipping and batches. Blanks in the
# targets do not count.


# %%
def learn(network: AsItIs, read: Tensor, targets: Tensor) -> AsItIs:
    """Train a network."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
    network.train()
    for _ in range(PASSES):
        for batch in torch.randperm(len(read)).split(32):
            optimiser.zero_grad()
            scores = network(read[batch], targets[batch])
            F.cross_entropy(scores.flatten(0, 1), targets[batch].flatten(), ignore_index=0).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
    return network.eval()


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
steps = {"the code as it is": judge(learn(seeded(AsItIs), *rows(train)), *rows(test))}
targets = [post[len(post) // 2 :][:30] for post in test]
space = sum(target.count(" ") for target in targets) / sum(map(len, targets))
oracle = sum(max(Counter(target).values()) for target in targets) / sum(map(len, targets))
tweets = measured["notebook"]["all_accuracy"]
lesson.table(
    ("characters right", "our posts", "the notebook's tweets"),
    ("random (1/V)", lesson.percent(1 / V), lesson.percent(1 / mended["data"]["vocabulary"])),
    ("always a space", lesson.percent(space), lesson.percent(measured["always_a_space"]["all"])),
    ("the code as it is", lesson.percent(steps["the code as it is"][0]), lesson.percent(tweets)),
    ("the oracle with one answer", lesson.percent(oracle), lesson.percent(measured["one_answer"]["all"])),
)
assert abs(steps["the code as it is"][0] - space) < 0.01
assert abs(tweets - measured["always_a_space"]["all"]) < 0.01
assert oracle - space < 0.05
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
every = learn(seeded(EveryCharacter), *whole_rows(train))
read, target_rows = whole_rows(test)
steps["2: every character"] = judge(every, read, only_thirty(target_rows, test))

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
lesson.say(
    f"Most of diff 3 is counting: the counter alone has {lesson.percent(counter[0])} right, the blend"
    f" {lesson.percent(blend[0])}. In bits the counter is ahead here, {counter[1]:.2f} against {blend[1]:.2f}."
)
assert (counter[0] - before[0]) / (blend[0] - before[0]) > 0.5
assert counter[1] < blend[1]
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
bits = [bits for _, bits in steps.values()]
assert bits == sorted(bits, reverse=True)  # each step saves bits
assert steps["1: fed the truth"][0] > oracle  # more than one answer for thirty places can ever have
for part in ("all", "clean"):
    right = [tweets[step][f"{part}_accuracy"] for step in steps]
    assert right == sorted(right)
brings = {"posts": np.diff([right for right, _ in steps.values()])}
brings |= {part: np.diff([tweets[step][f"{part}_accuracy"] for step in steps]) for part in ("all", "clean")}
assert [int(gains.argmax()) + 1 for gains in brings.values()] == [3, 3, 1]  # the diff that brings most

# %% [markdown]
# Which diff brings most? On our posts it is the third, on the notebook's tweets without copies the first: there the
# networks had more passes.

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
# ## Three slips
#
# **"Indices 2 to 246."** The notebook's text says that its characters have these numbers. Its code numbers them from 1,
# behind the blank. A row 246 does not exist in its embedding.

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
# **An example that is under 60.** The notebook takes texts of 60 characters or more, so that each has 30 to guess, and
# then explains its task with a shorter one. No such text is in its data, and most of them have no 30 characters left.

# %%
short = [post for post in lesson.posts() if len(post) < 60]
left = [len(post) - len(post) // 2 for post in short]
lesson.say(
    f"{len(short)} of our posts are under 60; in {sum(n < 30 for n in left)} of them the second half is under 30."
)
assert all(n <= 30 for n in left)

# %% [markdown]
# **Temperature 0.** The notebook divides the scores by the temperature. At 0 that is a division by zero, and nothing
# can be drawn from what comes out. The way out is one line: at 0 take the greatest score.

# %%
scores = torch.tensor([2.0, 1.0, 0.0])
print("divided by 0:", F.softmax(scores / 0, dim=-1))
try:
    torch.multinomial(F.softmax(scores / 0, dim=-1), 1)
except RuntimeError as error:
    print("drawn from that:", error)
else:
    raise AssertionError("something was drawn")


def drawn(scores: Tensor, temperature: float) -> int:
    """Return the number of the next character."""
    if temperature == 0:
        return int(scores.argmax())
    return int(torch.multinomial(F.softmax(scores / temperature, dim=-1), 1))


assert drawn(scores, 0) == 0

# %% [markdown]
# ## Its Part 4 in one line
#
# The notebook's Part 4 lets the network complete texts. With Kammil a command does that; `-n` is the number of texts.

# %%
command = ["complete", "شو رأيكم نطلع", "--preset", "plain", "--temperature", "1", "-n", "3"]
print("$ kammil", *(f'"{word}"' if " " in word else word for word in command))
done = subprocess.run(
    [sys.executable, "-X", "utf8", "-m", "kammil", *command], check=True, stdout=subprocess.PIPE, encoding="utf-8"
)
print(done.stdout)
assert done.stdout.count("\n") >= 3

# %% [markdown]
# And five test texts with the truth, beside all figures: `kammil evaluate FOLDER FILE --samples 5 --min-length 60`.
#
# The line from here: [part 2](2_pairs_and_padding.ipynb) is about blanks and leaks, [part 4](4_teacher_forcing.ipynb)
# about what a decoder reads, [part 5](5_sampling.ipynb) about temperatures.

# %% [markdown]
# # 4. Teacher forcing, by experiment
#
# The network of part 3 says what comes next, given what it has read. While it learns to write, what should it read:
# what it wrote itself, what it should have written, or nothing? On this question the notebook stumbles. We try all
# three answers. That is the first half. The second half, [five knobs](#five-knobs), turns those of the notebook's code,
# one after the other. Between them is a good place for a break.
#
# **In this part:** three decoders; every character as a question; exposure bias; overfitting; five knobs, each with a
# figure: dropout, weight decay, clipping, learning rate, size.

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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)  # such small networks are not faster on more cores
TARGET = 30
train, aside = lesson.split([post for post in lesson.posts() if len(post) >= 60])
validation, test = aside[:60], aside[60:]  # the knobs below are judged by posts that are neither training nor test
characters = sorted(set("".join(train)))
index = {character: i + 2 for i, character in enumerate(characters)}  # 0: blank, 1: unknown
V = len(index) + 2


def encode(text: str) -> list[int]:
    """Return the index of each character."""
    return [index.get(character, 1) for character in text]


def prepare(posts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Return halves with blanks after them (N, T), their lengths (N,), and the 30 target characters (N, 30)."""
    halves = [torch.tensor(encode(post[: len(post) // 2])) for post in posts]
    targets = torch.tensor([encode(post[len(post) // 2 :][:TARGET]) for post in posts])
    return nn.utils.rnn.pad_sequence(halves, batch_first=True), torch.tensor([len(h) for h in halves]), targets


train_rows, test_rows = prepare(train), prepare(test)
space_right = float((test_rows[2] == index[" "]).float().mean())

# %% [markdown]
# ## Three decoders
#
# The part that reads the half is called *encoder*, the part that writes *decoder*. The class below has three decoders,
# and we train one network with each. All three networks have the same layers and the same number of parameters. All
# three come to the state after the half in the same way. Only what the decoder **reads** while it learns differs:
#
# - **nothing**: the notebook's decoder. The state after the half goes through the output layer, thirty times.
# - **the truth**: before each character it reads the *true* characters before it, whatever it would have said. This
#   is **teacher forcing**: a teacher puts the right answer before the pupil each time, and asks for the next one.
# - **itself**: before each character it reads what it wrote itself. This is called *free running*.


# %%
class Network(nn.Module):
    """One GRU that reads a half and goes on with the target."""

    def __init__(self, hidden: int = 96, dropout: float = 0.0, body: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, 32, padding_idx=0)
        self.gru = body(32, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)  # explained below; 0 drops nothing
        self.output = nn.Linear(hidden, V)

    def encode(self, halves: Tensor, lengths: Tensor) -> Tensor:
        """Return the state (N, H) after the last real character of each half; blanks come after it."""
        states, _ = self.gru(self.embedding(halves))
        return states[torch.arange(len(halves)), lengths - 1]

    def nothing(self, halves: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Scores (N, 30, V) of a decoder that is told nothing."""
        h = self.encode(halves, lengths)
        return torch.stack([self.output(h) for _ in range(TARGET)], dim=1)

    def truth(self, halves: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Scores (N, 30, V), each after the true characters: teacher forcing."""
        h = self.encode(halves, lengths)
        states, _ = self.gru(self.embedding(targets[:, :-1]), h[None])  # all thirty at once; nn.GRU wants (1, N, H)
        return self.output(torch.cat([h[:, None], states], dim=1))

    def itself(self, halves: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Scores (N, 30, V), each after what the decoder wrote itself: free running."""
        h = self.encode(halves, lengths)
        scores = [self.output(h)]
        for _ in range(TARGET - 1):
            wrote = scores[-1].argmax(-1, keepdim=True)  # the most probable character
            _, state = self.gru(self.embedding(wrote), h[None])
            h = state[0]  # (1, N, H) -> (N, H)
            scores.append(self.output(h))
        return torch.stack(scores, dim=1)


# %% [markdown]
# > **Guess first.** Always a space has nearly one character in five right. After a few passes over the training part
# > (epochs, as part 2 called them), what has each of the three? (Each is judged in the way in which it learnt. The
# > space has another share than in part 2, since some of the test posts are now the validation part.)


# %%
def judge(network: Network, decoder: str) -> tuple[float, float]:
    """Return bits per character and accuracy on the test targets."""
    with torch.no_grad():
        scores = getattr(network, decoder)(*test_rows)  # the method of this name
    bits = F.cross_entropy(scores.flatten(0, 1), test_rows[2].flatten()).item() / math.log(2)
    return bits, (scores.argmax(-1) == test_rows[2]).float().mean().item()


def learn(decoder: str, passes: int = 5) -> tuple[Network, list[tuple[float, float]]]:
    """Train a network with this decoder; return it with bits and accuracy after each pass, the newborn first."""
    torch.manual_seed(0)
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    history = [judge(network, decoder)]
    for _ in range(passes):
        for batch in torch.randperm(len(train)).split(32):
            halves, lengths, targets = (part[batch] for part in train_rows)
            scores = getattr(network, decoder)(halves, lengths, targets)
            loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        history.append(judge(network, decoder))
    return network, history


learnt = {decoder: learn(decoder) for decoder in ("nothing", "truth", "itself")}
lesson.table(
    ("the decoder reads", "bits per character", "right"),
    *((name, f"{h[-1][0]:.2f}", lesson.percent(h[-1][1])) for name, (_, h) in learnt.items()),
    ("random (1/V)", f"{math.log2(V):.2f}", lesson.percent(1 / V)),
    ("always a space", "", lesson.percent(space_right)),
)
right = {name: history[-1][1] for name, (_, history) in learnt.items()}
lesson.claim(
    right["truth"] > 1.3 * max(right["nothing"], right["itself"], space_right),
    "the decoder that reads the truth is far ahead of the other two and of the space",
)
lesson.claim(
    max(abs(right[name] - space_right) for name in ("nothing", "itself")) < 0.02,
    "the other two decoders are no better than the space",
)

# %%
figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for name, (_, history) in learnt.items():
    left.plot([bits for bits, _ in history], "o-", markersize=3, label=f"reads {name}")
    middle.plot([100 * share for _, share in history], "o-", markersize=3, label=f"reads {name}")
left.axhline(math.log2(V), color="grey", linestyle=":", label="random: log2 V")
left.set_ylabel("bits per character, test")
middle.axhline(100 * space_right, color="grey", linestyle=":", label="always a space")
middle.set_ylabel("right, %, test")
for axes in (left, middle):
    axes.set_xlabel("passes over the training part")
    axes.legend(fontsize=8)
lesson.show(figure)
lesson.claim(
    all(abs(history[0][0] - math.log2(V)) < 0.2 for _, history in learnt.values()),
    "all three are born near log2 V",
)

# %% [markdown]
# All three are born at log2 V (part 3). Two of them never get beyond the space. Only the one with teacher forcing
# does. (It answers with the true letters in its hand. Its own writing comes below.) Why?
#
# **A decoder that reads nothing does not know where it is.** Look at the notebook's line: `self.output(h)`, thirty
# times, from the same `h`. The same input gives the same output. Here are its thirty distributions after one half.
# The columns run from right to left, like the text.
#
# > **Guess first.** How much do the thirty differ?


# %%
def thirty(decoder: str, post: int = 0) -> np.ndarray:
    """Return the 30 distributions (30, V) that a network gives after the half of one test post."""
    one = tuple(part[post : post + 1] for part in test_rows)
    with torch.no_grad():
        return getattr(learnt[decoder][0], decoder)(*one)[0].softmax(-1).numpy()


figure, panels = plt.subplots(2, 1, figsize=(8, 5.2), layout="constrained")
for axes, decoder in zip(panels, ("nothing", "truth"), strict=True):
    p = thirty(decoder)
    shown = np.argsort(-thirty("nothing")[0])[:12]
    picture = axes.imshow(p[:, shown].T, aspect="auto", cmap="Blues", vmin=0, vmax=0.5)
    axes.invert_xaxis()
    axes.yaxis.tick_right()
    axes.set_yticks(range(len(shown)), [lesson.letter(characters[i - 2]) for i in shown], fontsize=10)
    axes.set_xticks([0, 9, 19, 29], ["1", "10", "20", "30"])
    axes.set_title(f"decoder that reads {decoder}: probability of 12 letters at each of 30 places", fontsize=10)
figure.colorbar(picture, ax=panels, location="left", shrink=0.6)
lesson.show(figure)

same = np.abs(thirty("nothing") - thirty("nothing")[0]).max()
lesson.say(f"Where it reads nothing, the largest difference between the thirty distributions is {same:.1e}.")
assert same < 1e-6

# %% [markdown]
# How good can one answer for thirty places be? Suppose an *oracle* tells the network, for each post, which character
# is the most frequent one in its target.
#
# > **Guess first.** How many points does the oracle have more than "always a space"?

# %%
measured = lesson.benchmark("notebook")
most_frequent = torch.stack([row.bincount().max() for row in test_rows[2]]).sum().item() / test_rows[2].numel()
lesson.table(
    ("one answer for thirty places", "our posts", "the notebook's tweets"),
    *(
        (name, lesson.percent(ours), lesson.percent(its))
        for name, ours, its in (
            ("always a space", space_right, measured["always_a_space"]["all"]),
            ("the network that reads nothing", right["nothing"], measured["notebook"]["all_accuracy"]),
            ("the oracle: the best one for each post", most_frequent, measured["one_answer"]["all"]),
        )
    ),
    ("random (1/V)", lesson.percent(1 / V), ""),
)
assert right["nothing"] <= most_frequent
lesson.claim(most_frequent < right["truth"], "teacher forcing is ahead of the oracle with one answer")
assert measured["notebook"]["all_accuracy"] <= measured["one_answer"]["all"]

# %% [markdown]
# So the notebook's score has this one reason, and more layers or more passes cannot help. The network is not told
# what it has written, so it cannot know where in a word it is.
#
# **A decoder that reads its own output learns from nonsense.** At first, what the network writes has nothing to do
# with the target. The network reads that, and from that it must learn what comes next. So it soon does what is
# safest.
#
# > **Guess first.** What does it write after its passes? How many different texts, after so many halves?

# %%
with torch.no_grad():
    wrote = learnt["itself"][0].itself(*test_rows).argmax(-1)
texts = {"".join(characters[i - 2] if i > 1 else "?" for i in row) for row in wrote.tolist()}
spaces = float((wrote == index[" "]).float().mean())
lesson.say(
    f"After {len(wrote)} halves it writes {len(texts)} different text(s), "
    f"and {lesson.percent(spaces)} of their characters are spaces."
)
lesson.claim(spaces > 0.9, "what it writes is spaces")

# %% [markdown]
# Whatever the first half was, it writes spaces.
#
# **A decoder that reads the truth** always has a correct past. This is the whole difference.
#
# ## Teach every character
#
# Why only the thirty? The characters of the first half are as good to learn from: each of them is a question, too.
# Then there is no encoder and no decoder any more, only a text and its next character: a *language model*. Kammil's
# GRU learns like this.
#
# In code it is one line of difference: the scores after each character, compared with the text shifted by one. Before
# each post stands a blank, which marks its beginning.
#
# > **Guess first.** The same layers, as many passes over the same posts. By how many points does the accuracy rise?


# %%
def whole(posts: list[str]) -> Tensor:
    """Return posts as rows with a blank before them and blanks after them."""
    return nn.utils.rnn.pad_sequence([torch.tensor([0, *encode(post)]) for post in posts], batch_first=True)


def loss_of(network: Network, rows: Tensor) -> Tensor:
    """Return the mean loss in nats of every character of these rows, each after the true ones before it."""
    states, _ = network.gru(network.embedding(rows[:, :-1]))
    scores = network.output(network.dropout(states))
    return F.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=0)


@dataclass
class Run:
    """A network, what it was trained with, and its bits per character after each pass."""

    network: Network
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)  # of the gradient, at each step


def turn(
    posts: list[str],
    passes: int = 24,
    *,
    dropout: float = 0.0,
    decay: float = 0.0,
    clip: float = math.inf,
    rate: float = 1e-2,
    hidden: int = 96,
    batch_size: int = 10,
    body: type[nn.RNNBase] = nn.GRU,
    rule: type[torch.optim.Optimizer] = torch.optim.AdamW,
    seed: int = 0,
) -> Run:
    """Train on every character of these posts, with the knobs set so."""
    torch.manual_seed(seed)
    run, rows = Run(Network(hidden, dropout, body)), whole(posts)
    optimiser = rule(run.network.parameters(), lr=rate, weight_decay=decay)
    for _ in range(passes):
        losses = []
        run.network.train()  # drop
        for batch in torch.randperm(len(rows)).split(batch_size):  # shuffled anew in each pass
            part = rows[batch]
            width = int((part != 0).any(0).nonzero().max()) + 1  # the columns behind it are blank in all rows
            loss = loss_of(run.network, part[:, :width])
            optimiser.zero_grad()
            loss.backward()
            length = nn.utils.clip_grad_norm_(run.network.parameters(), clip)  # clips; returns the length before
            run.lengths.append(length.item())
            optimiser.step()
            losses.append(loss.item() / math.log(2))
        run.network.eval()  # do not drop
        run.training.append(sum(losses) / len(losses))
        with torch.no_grad():
            run.validation.append(loss_of(run.network, validation_rows).item() / math.log(2))
    return run


validation_rows = whole([post[:40] for post in validation])
language_model = turn(train, 5, rate=5e-3, batch_size=32).network
judged = {
    "the 30 target characters": judge(learnt["truth"][0], "truth"),
    "every character of the post": judge(language_model, "truth"),
}
lesson.table(
    ("learns", "bits per character of the target", "right"),
    *((name, f"{bits:.2f}", lesson.percent(share)) for name, (bits, share) in judged.items()),
    ("random (1/V)", f"{math.log2(V):.2f}", lesson.percent(1 / V)),
)
lesson.claim(
    judged["every character of the post"][0] < judged["the 30 target characters"][0],
    "who learns from every character needs fewer bits",
)

# %% [markdown]
# The bits fall: more questions, more to learn from. Whether such a difference may be chance, part 7 shows how to find
# out.
#
# ## What teacher forcing costs: exposure bias
#
# At school the teacher puts every mistake right. Then the pupil is alone. While it learnt, the network never read a
# mistake of its own. When it writes, it reads what it wrote, with all its mistakes. The price is called
# **exposure bias**: it was *exposed* to true texts only.
#
# We let the same network do both: with the teacher (each character after the true ones) and alone (each after its
# own).
#
# > **Guess first.** Draw two lines with your finger: the share of right characters at place 1, 2, ... 30, with the
# > teacher and alone.

# %%
with torch.no_grad():
    forced = language_model.truth(*test_rows).argmax(-1) == test_rows[2]  # (N, 30)
    free = language_model.itself(*test_rows).argmax(-1) == test_rows[2]  # (N, 30)
by_position = {"with the teacher": forced.float().mean(0).numpy(), "alone": free.float().mean(0).numpy()}

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name, values in by_position.items():
    axes.plot(range(1, TARGET + 1), 100 * values, "o-", markersize=3, label=name)
axes.axhline(100 * space_right, color="grey", linestyle=":", label="always a space")
axes.axhline(100 / V, color="grey", linestyle="--", label="random: 1/V")
axes.set_xlabel("place in the target")
axes.set_ylabel("right, %")
axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
lesson.show(figure)

lesson.table(
    ("", "place 1", "places 2-5", "places 6-30", "all"),
    *(
        (name, *(lesson.percent(float(v.mean())) for v in (values[:1], values[1:5], values[5:], values)))
        for name, values in by_position.items()
    ),
    ("random (1/V)", *[lesson.percent(1 / V)] * 4),
    ("always a space", "", "", "", lesson.percent(space_right)),
)
gap = float(by_position["with the teacher"].mean() - by_position["alone"].mean())
lesson.say(f"The gap is {100 * gap:.1f} points.")
assert forced[:, 0].equal(free[:, 0])
lesson.claim(gap > 0.1, "the gap is more than ten points")
lesson.claim(by_position["alone"].mean() < space_right, "alone, the network falls below the space")

# %% [markdown]
# At the first place both have read the same, so both lines begin together. Then they part. Alone, the network falls
# *below* the baseline that always says "space". What does it write? (Each time the most probable character.)

# %%
with torch.no_grad():
    alone = language_model.itself(*test_rows).argmax(-1)
written = ["".join(characters[i - 2] if i > 1 else "?" for i in row) for row in alone.tolist()]
persons = [post[len(post) // 2 :][:TARGET] for post in test]
lesson.table(
    ("half, its end", "the person goes on", "the network, alone"),
    *(
        ("… " + post[: len(post) // 2][-24:], *both)
        for post, *both in zip(test[:3], persons, written[:3], strict=False)
    ),
)


def circles(texts: list[str]) -> float:
    """Return the share of texts that hold the same run of six characters twice."""
    return float(np.mean([len({text[i : i + 6] for i in range(TARGET - 5)}) < TARGET - 5 for text in texts]))


lesson.say(
    f"{lesson.percent(circles(written))} of the texts that it writes alone hold the same run of six characters twice, "
    f"and {lesson.percent(circles(persons))} of the people's."
)
lesson.claim(
    circles(written) > 0.5 > circles(persons),
    "most texts of the network run in circles, and few of the people",
)

# %% [markdown]
# Alone it runs in circles. Always taking the most probable character helps that; part 5 measures it, and chooses in
# other ways.
#
# Does one mistake drag the next one after it, until all is lost? Or did the text only go another way? Suppose the
# person wrote "we went to the **beach**" and the network "we went to the **market**". All letters after the place
# where they part count as wrong, and yet nothing is wrong with the market.
#
# ## One wrong letter
#
# Let us measure what a mistake does. We take the beginnings of test posts. In each we change **one** letter, at a place
# where the network was wrong: there it now reads its own letter. All letters after it are the true ones. How many more
# bits do they cost than in the post without the mistake?
#
# > **Guess first.** After how many letters has the network got over it?

# %%
AFTER = 15
beginnings = [post[:100] for post in test]
rows = whole(beginnings)
rng = np.random.default_rng(0)


def says_after(read: Tensor) -> Tensor:
    """Return the scores (N, T, V) after each character that is read, for the character that comes next."""
    with torch.no_grad():
        return language_model.output(language_model.gru(language_model.embedding(read[:, :-1]))[0])


own = says_after(rows)[..., 2:].argmax(-1) + 2  # own[:, t - 1]: what it would write at place t, no blank, no unknown
wrong = own != rows[:, 1:]


def one_mistake() -> tuple[Tensor, list[int]]:
    """Return the posts with one letter each as the network would write it, and its place (0: nothing changed)."""
    changed, at = rows.clone(), []
    for i, post in enumerate(beginnings):
        places = wrong[i, 14 : len(post) - AFTER - 1].nonzero().flatten() + 15  # not the first ones, not the last ones
        at.append(int(rng.choice(places)) if len(places) else 0)
        if len(places):
            changed[i, at[-1]] = own[i, at[-1] - 1]
    return changed, at


def bits_and_hits(read: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bits of each true character, and whether it is the first guess, where this is read."""
    scores = says_after(read)
    bits = F.cross_entropy(scores.transpose(1, 2), rows[:, 1:], reduction="none") / math.log(2)
    return bits, (scores.argmax(-1) == rows[:, 1:]).float()


true_bits, true_hits = bits_and_hits(rows)
extra, hits = [], []
for _ in range(3):  # three places in each post
    changed, at = one_mistake()
    bits, right_now = bits_and_hits(changed)
    for i, t in enumerate(at):
        if t:  # the letters after the changed one
            extra.append((bits - true_bits)[i, t : t + AFTER])
            hits.append(torch.stack([true_hits, right_now])[:, i, t : t + AFTER])
harm, (hit_true, hit_wrong) = torch.stack(extra).mean(0), torch.stack(hits).mean(0)

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.bar(range(1, AFTER + 1), harm)
axes.set_xlabel("letters after the wrong one")
axes.set_ylabel("additional bits")
axes.set_title("What one wrong letter costs the letters after it", fontsize=10)
lesson.show(figure)
lesson.table(
    ("right, letters after the wrong one", "1", "2", "3", "6-15"),
    *(
        (name, *(lesson.percent(float(v)) for v in (*share[:3], share[5:].mean())))
        for name, share in (("after the true letters", hit_true), ("after one wrong letter", hit_wrong))
    ),
    ("random (1/V)", *[lesson.percent(1 / V)] * 4),
)
lesson.say(
    f"The first letter after a mistake costs {harm[0]:.1f} bits more. "
    f"From the sixth on it is {harm[5:].abs().max():.2f} bits at most."
)
lesson.claim(harm[0] > 1, "the letter after a mistake costs more than one bit more")
lesson.claim(
    harm[5:].abs().max() < 0.1 and (hit_true - hit_wrong)[5:].mean().abs() < 0.01,
    "from the sixth letter on the mistake is forgotten",
)

# %% [markdown]
# The mistake harms the next few letters. If the truth follows, the network recovers: it looks back over a few letters
# only, and soon nothing of the mistake is in sight. (Part 6 measures how far back models look.) Where the network is
# alone, no truth follows: it reads its own letters, and circles.
#
# What does that say of the gap above? The score compares letter by letter with **one** text. A text that goes another
# way is counted as wrong to its end, be it good or bad. **Do not judge a writer by such a score.** The bits after the
# true past say how much a network has learnt, and from here on we use them.
#
# ## Five knobs
#
# (Here is the place for a break.) The notebook's code holds five more numbers. What does each of them do?

# %%
NOTEBOOK = {"dropout": 0.3, "weight decay": 1e-5, "clipping at": 5.0, "learning rate": 1e-3, "state": 256}
lesson.table(("knob", "the notebook's value"), *NOTEBOOK.items())
few = [post[:40] for post in train[:50]]
print("we turn them with", len(few), "posts to learn from and", len(validation), "to judge by")

# %% [markdown]
# So few posts make a training short, and each effect large enough to see. A *validation part* judges: posts that are
# neither learnt from nor tested with. To choose a knob by the test part would be to learn from the test.
#
# Each training begins with other random numbers, and ends elsewhere. So each setting is tried with four *seeds*, from
# which the random numbers are made. In the figures a dot is one training, and a line goes through the means. Where the
# dots of two settings mix, do not choose between the two.
#
# ## Overfitting
#
# First without any knob. With few texts and many passes a network learns them by heart. The training bits go down and
# down; those of the validation part go down first, then turn and go up. That is **overfitting**.
#
# > **Guess first.** After which pass do the validation bits turn?

# %%
SEEDS = range(4)


def turns(posts: list[str], passes: int = 24, **knobs: Any) -> list[Run]:
    """Train once with each seed."""
    return [turn(posts, passes, seed=seed, **knobs) for seed in SEEDS]


def lowest(run: Run) -> float:
    """Return the validation bits of the best pass."""
    return min(run.validation)


def at_the_end(run: Run) -> float:
    """Return the validation bits after the last pass."""
    return run.validation[-1]


def mean(bits_of: Callable[[Run], float], runs: list[Run]) -> float:
    """Return the mean of the seeds."""
    return float(np.mean([*map(bits_of, runs)]))


def draw_knob(knob: str, lines: dict[str, tuple[Callable[[Run], float], dict[str, list[Run]]]]) -> None:
    """Draw bits by setting: a dot for each training, and a line through the means."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for name, (bits_of, settings) in lines.items():
        (line,) = axes.plot([mean(bits_of, runs) for runs in settings.values()], label=name)
        dots = [[*map(bits_of, runs)] for runs in settings.values()]
        axes.plot(dots, "o", color=line.get_color(), markersize=4)
        axes.set_xticks(range(len(settings)), [*settings])
    axes.set_xlabel(knob)
    axes.set_ylabel("bits per character, validation")
    axes.legend(fontsize=8)
    lesson.show(figure)


def show_bits(heading: str, settings: dict[str, list[Run]]) -> None:
    """Show the best and the last validation bits of each setting."""
    lesson.table(
        (heading, "bits of the best pass", "lowest and highest", "bits at the end", "training bits at the end"),
        *(
            (
                name,
                f"{mean(lowest, runs):.2f}",
                f"{min(map(lowest, runs)):.2f} and {max(map(lowest, runs)):.2f}",
                f"{mean(at_the_end, runs):.2f}",
                f"{mean(lambda run: run.training[-1], runs):.2f}",
            )
            for name, runs in settings.items()
        ),
        ("random (1/V)", f"{math.log2(V):.2f}", "", "", ""),
        note=f"Means of {len(SEEDS)} trainings; all but the last column are of the validation part.",
    )


base = turns(few)
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for seed, run in enumerate(base):
    passes = range(1, len(run.validation) + 1)
    axes.plot(passes, run.validation, color="C0", label="_"[:seed] + "validation bits")
    axes.plot(passes, run.training, ":", color="C1", label="_"[:seed] + "training bits")
axes.set_xlabel("passes")
axes.set_ylabel("bits per character")
axes.set_ylim(None, 5.5)
axes.legend(fontsize=8, loc="lower left")
lesson.show(figure)
show_bits("", {"no knob": base})
lesson.claim(all(at_the_end(run) > lowest(run) + 0.1 for run in base), "the validation bits turn")
lesson.claim(all(run.training[-1] < lowest(run) - 1 for run in base), "the training bits go down by more than a bit")

# %% [markdown]
# The first remedy is called *early stopping*: keep the network of the best pass. `kammil train` does. That is why the
# tables name the best bits and the last.
#
# ## Knob 1: dropout
#
# While the network learns, **dropout** sets a share of the numbers of its state to 0, drawn anew each time. So the
# network cannot rely on a few of them. When it is judged or used, nothing is dropped: `train()` and `eval()` in the
# code above switch between the two.
#
# > **Guess first.** Which share is best: none, the notebook's, or twice as much?

# %%
dropped = {"0": base} | {str(share): turns(few, dropout=share) for share in (NOTEBOOK["dropout"], 0.6)}
draw_knob("dropout", {"at the end": (at_the_end, dropped), "best pass": (lowest, dropped)})
show_bits("dropout", dropped)


def by_heart(run: Run) -> float:
    """Return the training bits once more, now that nothing is dropped."""
    with torch.no_grad():
        return loss_of(run.network, whole(few)).item() / math.log(2)


learnt_by_heart = {name: mean(by_heart, runs) for name, runs in dropped.items()}
lesson.say(
    "The training bits above are measured while numbers are dropped. With nothing dropped they are at the end "
    + ", ".join(f"{bits:.2f} (dropout {name})" for name, bits in learnt_by_heart.items())
    + "."
)
ends = [mean(at_the_end, runs) for runs in dropped.values()]
lesson.claim(ends == sorted(ends, reverse=True), "the more is dropped, the fewer validation bits at the end")
hearts = [*learnt_by_heart.values()]
lesson.claim(hearts == sorted(hearts), "the more is dropped, the less is learnt by heart")

# %% [markdown]
# The more is dropped, the less is learnt by heart: the training bits stay higher, with nothing dropped, too, and the
# validation bits at the end are lower.
#
# ## Knob 2: weight decay
#
# **Weight decay** pulls every number of the network a little towards 0 at each step. A number that the texts do not
# ask for again and again fades. The strength is the knob times the learning rate. (The notebook's rule is `Adam`, which
# adds the pull to the gradient. `AdamW` pulls by itself. The cell tries the notebook's value with both.)
#
# > **Guess first.** The notebook's value is one hundred-thousandth. What does it change?

# %%
decayed = {"0": base, "0.00001 (Adam)": turns(few, decay=NOTEBOOK["weight decay"], rule=torch.optim.Adam)}
decayed |= {name: turns(few, decay=float(name)) for name in ("0.00001", "1", "10")}
draw_knob("weight decay", {"at the end": (at_the_end, decayed), "best pass": (lowest, decayed)})
show_bits("weight decay", decayed)
best = {name: mean(lowest, runs) for name, runs in decayed.items()}
moved = {name: abs(best[name] - best["0"]) for name in ("0.00001 (Adam)", "0.00001")}
lesson.say(
    f"The notebook's value moves the best bits by {moved['0.00001']:.3f} with AdamW. With Adam they move by "
    f"{moved['0.00001 (Adam)']:.3f}, the other rule included."
)
lesson.claim(max(moved.values()) < 0.05, "the notebook's weight decay does next to nothing")
lesson.claim(
    best["1"] < min(mean(lowest, runs) for runs in dropped.values()), "a weight decay of 1 helps more than dropout"
)
lesson.claim(best["10"] > best["1"] + 0.1, "a weight decay of 10 keeps the network from learning")

# %% [markdown]
# The notebook's value does next to nothing. A much larger one helps these few posts more than dropout did, and too
# large a one keeps the network from learning.
#
# ## Knob 3: clipping
#
# The gradient of a step is a long list of numbers, and has a length. The notebook *clips* it: a longer one is
# shortened. The usual reason is that gradients can explode (part 3): one huge step, and what was learnt is spoilt.
#
# Two networks try it: the GRU with `AdamW`, as above, and a plain network with the plainest rule, `SGD`, which goes
# downhill, against the gradient, learning rate times its length. Its rate is high.
#
# > **Guess first.** How often is the gradient of the GRU longer than 5, the notebook's limit?

# %%
LIMIT = NOTEBOOK["clipping at"]
plain = {"body": nn.RNN, "rule": torch.optim.SGD, "rate": 2.0}
clipped = {
    "GRU, AdamW, never clipped": base[0],
    f"GRU, AdamW, clipped at {LIMIT:.0f}": turn(few, clip=LIMIT),
    "plain, SGD, never clipped": turn(few, **plain),
    # A step of SGD is rate times length: here 2 at most, and 10 if the limit were 5.
    "plain, SGD, clipped at 1": turn(few, clip=1.0, **plain),
}
figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for name, run in clipped.items():
    if "never" in name:
        left.semilogy(run.lengths, color=f"C{len(middle.lines)}", linewidth=1)
    middle.semilogy(range(1, len(run.validation) + 1), run.validation, label=name)
limit = left.axhline(LIMIT, color="black", linestyle=":", label=f"the notebook's limit, {LIMIT:.0f}")
left.set_xlabel("steps")
left.set_ylabel("length of the gradient")
middle.axhline(math.log2(V), color="grey", linestyle=":", label="random: log2 V")
middle.set_yticks([5, 10, 20, 50], ["5", "10", "20", "50"])
middle.minorticks_off()
middle.set_xlabel("passes")
middle.set_ylabel("bits per character, validation")
figure.legend(handles=[*middle.get_lines(), limit], fontsize=7, loc="outside lower center", ncols=3)
lesson.show(figure)
lesson.table(
    ("", "longest gradient", f"steps above {LIMIT:.0f}", "bits at the end"),
    *(
        (name, f"{max(run.lengths):.1f}", lesson.percent(np.mean(np.array(run.lengths) > LIMIT).item()), f"{end:.2f}")
        for name, run in clipped.items()
        for end in [run.validation[-1]]
    ),
    ("random (1/V)", "", "", f"{math.log2(V):.2f}"),
)
ends = [run.validation for run in clipped.values()]
lesson.claim(max(max(run.lengths) for run in base) < LIMIT, "no gradient of the GRU is longer than the limit")
lesson.claim(ends[0] == ends[1], "clipped or not, the training of the GRU is the same to the last digit")
lesson.claim(ends[2][-1] > ends[3][-1] + 0.5, "clipping helps the plain network with the plain rule")

# %% [markdown]
# For the GRU clipping does nothing at all: no gradient is ever so long. The clipped training is the same to the last
# digit, a seat belt in a parked car. The plain network with the plain rule is another matter. Without clipping, long
# steps spoil what was learnt. With clipping, the same network learns.
#
# A seat belt costs nothing, so keep it. But measure before you say that it is why a training works.
#
# ## Knob 4: the learning rate
#
# The **learning rate** says how far a step goes. With SGD a step is the rate times the length of the gradient. With
# `AdamW` the rate is about how far *each number* of the network moves in a step, however long the gradient is
# (exercise 4).
#
# > **Guess first.** From a ten-thousandth to a tenth: by how many bits do the best and the worst differ?

# %%
rates = {str(rate): base if rate == 1e-2 else turns(few, rate=rate) for rate in (1e-4, 1e-3, 3e-3, 1e-2, 1e-1)}
draw_knob("learning rate", {"at the end": (at_the_end, rates), "best pass": (lowest, rates)})
show_bits("learning rate", rates)


def spread(settings: dict[str, list[Run]]) -> float:
    """Return how far apart the best validation bits of settings are."""
    bits = [mean(lowest, runs) for runs in settings.values()]
    return max(bits) - min(bits)


lesson.say(
    f"The learning rate moves the best bits by {spread(rates):.2f}, "
    f"dropout by {spread(dropped):.2f}, weight decay by {spread(decayed):.2f}."
)
lesson.claim(
    spread(rates) > max(spread(dropped), spread(decayed)),
    "the learning rate moves the bits more than dropout and weight decay",
)
best_rate = min(rates, key=lambda rate: mean(lowest, rates[rate]))
lesson.claim(best_rate not in ("0.0001", "0.1"), "the best learning rate lies in the middle")
lesson.claim(
    all(lowest(run) == at_the_end(run) for run in rates["0.0001"]),
    "with the smallest learning rate the bits still fall at the end",
)

# %% [markdown]
# Too small, and the passes are over before much is learnt. Too large, and each step jumps over the valley that it
# should go down into. In the ranges that we tried, the learning rate moves the bits more than dropout and weight decay
# do. Its range was wide, a factor of a thousand; but nobody knows beforehand where in it the valley lies. So it is the
# first knob to try.
#
# ## Knob 5: size
#
# > **Guess first.** States of 32, 96 and 256 numbers. Which is best with 50 posts, and which with four times as many?

# %%
SIZES = ("32", "96", "256")
more = [post[:40] for post in train[:200]]
by_size = {size: base if size == "96" else turns(few, hidden=int(size)) for size in SIZES}
by_size_more = {size: turns(more, 8, hidden=int(size)) for size in SIZES}
draw_knob(
    "numbers of the state, best pass",
    {f"{len(posts)} posts": (lowest, sizes) for posts, sizes in ((few, by_size), (more, by_size_more))},
)
show_bits(f"state, {len(few)} posts", by_size)
show_bits(f"state, {len(more)} posts, fewer passes", by_size_more)
for posts, sizes in ((few, by_size), (more, by_size_more)):
    winners = Counter(min(SIZES, key=lambda size: lowest(sizes[size][seed])) for seed in SEEDS)
    lesson.table(
        (f"state, {len(posts)} posts", f"with how many of {len(SEEDS)} seeds it is best"),
        *((size, winners[size]) for size in SIZES),
    )
lesson.claim(
    mean(lowest, by_size["32"]) < min(mean(lowest, by_size[size]) for size in ("96", "256")),
    "with 50 posts a state of 32 is best",
)
lesson.claim(
    mean(lowest, by_size_more["32"]) < mean(lowest, by_size_more["96"]) + 0.05, "with 200 posts a state of 32 is enough"
)
for sizes in (by_size, by_size_more):
    lesson.claim(
        max(SIZES, key=lambda size: mean(lowest, sizes[size])) == "256", "a state of 256 is too large for so few posts"
    )
lesson.claim(
    all(
        large.training[-1] < small.training[-1] - 1 for large, small in zip(by_size["256"], by_size["32"], strict=True)
    ),
    "a state of 256 learns 50 posts by heart",
)

# %% [markdown]
# A large network learns a few posts by heart: look at its training bits. With 50 posts the smallest state is best
# with every seed. With four times as many posts the dots mix, and no larger state gains anything. **With so few
# posts a state of 32 is enough.** How many posts a larger one asks for, these trainings do not say. And one seed
# alone would not have told a winner from a lucky one.
#
# ## What to keep
#
# - **Teacher forcing**: while it learns, the network reads the true characters, whatever it would have said. Without
#   it, the network hardly learns more than to say the space.
# - **Free running** is what it does when it writes. **Exposure bias** is what it loses by reading itself. One wrong
#   letter is forgotten after a few, if the truth follows; alone, the network runs in circles.
# - **Overfitting**: the training bits go down, the validation bits turn. Early stopping, dropout and weight decay
#   help.
# - Clipping helps where gradients are long. Learning rate first. With few posts a small state is enough.
# - Turn a knob with several seeds. Where their dots mix, nothing is known yet.
# - Choose knobs by a validation part, never by the test part.
#
# ## Exercises
#
# Write an answer in place of `...` and run the cell. It says whether the answer is right.
#
# **1.** Forget the shift. Write `unshifted(network, rows)`, a loss like `loss_of` that asks after each character for
# the character **just read**. Then train with it: what does such a network say?

# %%
unshifted = ...


def is_unshifted(loss_function: object) -> bool:
    """Train with this loss, and say whether the network now repeats what it reads."""
    torch.manual_seed(0)
    network, rows = Network(), whole(few)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        loss = loss_function(network, rows)  # type: ignore[operator]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    says = network.output(network.gru(network.embedding(rows))[0]).argmax(-1)
    return (says == rows)[rows != 0].float().mean().item() > 0.9


lesson.check(unshifted, is_unshifted, "in `loss_of`, which columns are read, and which are asked for?")

# %% [markdown]
# **2.** At which place does a network make its first mistake? Write `before(right)`: it takes a table of True and
# False like `free` and returns the mean number of right characters before the first mistake. Then compare
# `before(free)` and `before(forced)`. Why are they equal?

# %%
before = ...


def counts_before(function: object) -> bool:
    """Try a table with two, no, and three right characters before the first mistake."""
    right = torch.tensor([[True, True, False], [False, True, True], [True, True, True]])
    return math.isclose(float(function(right)), 5 / 3, rel_tol=1e-6)  # type: ignore[operator]


lesson.check(before, counts_before, "a row without a mistake counts whole; characters after a mistake do not count")

# %% [markdown]
# **3.** *Scheduled sampling* mixes: with probability q the decoder reads itself, else the truth. Write
# `mixed(network, halves, lengths, targets, q)` like the methods of `Network`. With q = 0 it must be teacher forcing,
# and with q = 1 free running.
#
# Does a network that learns so write better? `Network.scheduled = lambda self, *rows: mixed(self, *rows, q=0.25)`
# makes it a fourth decoder. Compare `judge(network, "itself")` of `learn("scheduled")[0]` and of `learnt["truth"][0]`.

# %%
mixed = ...


def is_mixed(decoder: object) -> bool:
    """Say whether this decoder is teacher forcing for q = 0 and free running for q = 1."""
    with torch.no_grad():
        ends = [decoder(language_model, *test_rows, q=q) for q in (0, 1)]  # type: ignore[operator]
        wanted = language_model.truth(*test_rows), language_model.itself(*test_rows)
    return all(torch.allclose(end, scores, atol=1e-3) for end, scores in zip(ends, wanted, strict=True))


lesson.check(mixed, is_mixed, "begin with `itself`; what is read may be another character for each post")

# %% [markdown]
# **4.** Multiply the loss by a hundred. How many times as far does the *first* step of `torch.optim.SGD` go, and how
# many times that of `torch.optim.AdamW`? Guess. Then write `first_step(rule, scale)`: it takes a new `Network()`, makes
# one step with learning rate 0.01 and `scale` times `loss_of(network, whole(few))`, and returns the length of the
# change of `network.output.weight` (`.norm()`). Compare scale 100 with scale 1.

# %%
first_step = ...


def is_first_step(function: object) -> bool:
    """Compare a step of SGD with the gradient, and one of AdamW with its rate."""
    torch.manual_seed(0)
    network = Network()
    loss_of(network, whole(few)).backward()
    weight = network.output.weight
    torch.manual_seed(0)
    sgd = float(function(torch.optim.SGD, 1))  # type: ignore[operator]
    adamw = float(function(torch.optim.AdamW, 1))  # type: ignore[operator]
    return math.isclose(sgd, 0.01 * weight.grad.norm().item(), rel_tol=0.2) and sgd < adamw < weight.numel() ** 0.5


lesson.check(first_step, is_first_step, "keep a copy of the weight before the step: `.detach().clone()`")

# %% [markdown]
# The answers stand in [a file of their own](solutions/4_teacher_forcing.py).
#
# Next: [5. Choosing the next letter](5_sampling.ipynb)

# %% [markdown]
# # 3. The network, in thirty lines
#
# What is inside? In this part you build a recurrent network out of additions and multiplications. First a plain one:
# you will see that it forgets, and why. Then one with gates, a GRU (*gated recurrent unit*). The GRU is the
# notebook's network, and yours will say the same as PyTorch's and Kammil's.
#
# **In this part:** a generator is a classifier that is asked again and again; a network with a memory; how far back
# it remembers; the gradient by distance; gates; the GRU in thirty lines; its layers; the loss at birth.

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

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)  # such small networks are not faster on more cores
torch.manual_seed(0)
train, test = lesson.split([post for post in lesson.posts() if len(post) >= 60])
characters = sorted(set("".join(train)))
index = {character: i + 2 for i, character in enumerate(characters)}  # 0: blank, 1: unknown, as in part 2
V = len(index) + 2


def encode(text: str) -> list[int]:
    """Return the index of each character."""
    return [index.get(character, 1) for character in text]


def rectangle(posts: list[str]) -> Tensor:
    """Return posts as rows of indices (N, T), with blanks after them."""
    return nn.utils.rnn.pad_sequence([torch.tensor(encode(post)) for post in posts], batch_first=True)


print("V =", V, "(two of them are marks: blank and unknown character)")

# %% [markdown]
# ## Classification and generation
#
# A *classifier* gives one answer from a fixed list: is this post a question, yes or no? A *generator* writes a text,
# and there are far too many possible texts to list.
#
# > **Guess first.** How many different texts of 30 characters are there? More than there are stars in the universe?

# %%
lesson.say(
    f"A yes/no classifier has 2 answers. A generator of 30 characters has about 10^{30 * math.log10(V):.0f}. "
    "(Astronomers guess 10^24 stars.)"
)
lesson.claim(30 * math.log10(V) > 24, "there are more answers than stars")

# %% [markdown]
# No list can hold them. All text generators, the largest ones included, use the same trick: **a generator is a
# classifier that is asked again and again.** The question is always "Which character comes next?", and the list of
# answers is the vocabulary. The answer is appended to the text, and the question is asked again. A model that
# predicts each piece from the pieces before it is called *autoregressive*.
#
# ## The picture
#
# Read the picture from right to left, like the text in it. At the bottom characters go in, one at each step. In the
# middle stands the *state*: a list of numbers, carried from step to step. The state is all that the network
# remembers. At the top stands what the network should say: the next character. Before the first character the network
# reads a mark, *start*, and after the last it says another, *end*. Our own code below leaves these two out.


# %%
def draw(read: list[str], say: list[str], title: str) -> None:
    """Draw a recurrent network that reads characters and says the following ones, from right to left.

    Where it reads nothing, its state stays the same.
    """
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    n = len(read)
    for i in range(n):
        x = n - 1 - i
        middle = ("state", "#f7e3c8") if read[i] else ("copy", "#eeeeee")
        for y, label, colour in ((0, read[i], "#e8eef7"), (1, *middle), (2, say[i], "#dff0dd")):
            if label:
                box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "#555"}
                axes.text(x, y, label, ha="center", va="center", fontsize=12, bbox=box)
        for low, shown in ((0, read[i]), (1, say[i])):
            if shown:
                axes.annotate("", (x, low + 0.72), (x, low + 0.28), arrowprops={"arrowstyle": "->"})
        if i + 1 < n:
            arrow = {"arrowstyle": "->", "lw": 2, "color": "#b36b00"}
            axes.annotate("", (x - 0.68, 1), (x - 0.32, 1), arrowprops=arrow)
    for y, label in ((0, "reads"), (1, "remembers"), (2, "says next")):
        axes.text(n - 0.3, y, label, ha="left", va="center", color="#555")
    axes.set_xlim(-0.7, n + 0.8)
    axes.set_ylim(-0.5, 2.5)
    axes.set_axis_off()
    axes.set_title(title)
    lesson.show(figure)


piece = "شو حلو"
reads, says = ["start", *piece], [*piece, "end"]  # one text, shifted by one place
assert reads[1:] == says[:-1]
draw([*map(lesson.letter, reads)], [*map(lesson.letter, says)], "One text, shifted by one")

# %% [markdown]
# The notebook's network is drawn in the same way, with one difference. After the half (and its blanks, part 2) it reads
# nothing more. Its state is copied, and from this copy it must say all characters that follow. Compare the two
# pictures: what is the trouble? Part 4 tries it.

# %%
draw(
    [*map(lesson.letter, "شو ح"), "", "", ""],
    ["", "", "", *"لو؟", "end"],
    "The notebook: after the half it reads nothing",
)

# %% [markdown]
# ## A network with a memory
#
# Part 2 trained such a network. Here it stands by itself, as a formula. Each character has a list of numbers x, its
# *embedding*. The state before it is h. One line makes the new state from both:
#
# `h = tanh(x @ W_x.T + h @ W_h.T + b)`
#
# `@` multiplies by a matrix: each number that comes out is a weighted sum of those that go in. The weights W and the
# biases b are *parameters*, which training chooses. *tanh* keeps each number between -1 and 1, so the state cannot
# grow. This is the line of part 2, `tanh(self.update(...))`, with its one Linear layer cut in two: W_x for the
# character, W_h for the state.


# %%
def weights(*shape: int) -> nn.Parameter:
    """Return parameters of this shape, drawn at random within 1 / sqrt(n); n is the last number of the shape."""
    return nn.Parameter(torch.empty(*shape).uniform_(-1, 1) / math.sqrt(shape[-1]))


class PlainRNN(nn.Module):
    """A plain recurrent network: embeddings in, states out."""

    def __init__(self, embedding: int, hidden: int) -> None:
        super().__init__()
        self.W_x, self.W_h, self.b = weights(hidden, embedding), weights(hidden, hidden), weights(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states (B, T, H) after each of the embeddings (B, T, E)."""
        h, states = torch.zeros(len(x), len(self.b)), []
        for x_t in x.unbind(1):  # character by character
            h = torch.tanh(x_t @ self.W_x.T + h @ self.W_h.T + self.b)
            states.append(h)
        return torch.stack(states, dim=1)


# %% [markdown]
# Is it right? PyTorch has such a network, `nn.RNN`. We give both the same numbers and compare. (PyTorch has two lists
# b where one is enough, so we set the second to zero. It returns two things, all states and the last one once more:
# `[0]` takes the first.)

# %%
embedding = nn.Embedding(V, 32)
plain, theirs = PlainRNN(32, 64), nn.RNN(32, 64, batch_first=True)
rows = rectangle(train[:32])[:, :40]
with torch.no_grad():
    plain.W_x.copy_(theirs.weight_ih_l0)
    plain.W_h.copy_(theirs.weight_hh_l0)
    plain.b.copy_(theirs.bias_ih_l0)
    theirs.bias_hh_l0.zero_()
    x, states = embedding(rows), plain(embedding(rows))
    one_linear = F.linear(torch.cat([x[:, 1:], states[:, :-1]], -1), torch.cat([plain.W_x, plain.W_h], 1), plain.b)
    assert torch.allclose(torch.tanh(one_linear), states[:, 1:], atol=1e-6)  # part 2's line
    difference = (states - theirs(x)[0]).abs().max().item()
print(f"largest difference: {difference:.1e}")
assert difference < 1e-6

# %% [markdown]
# So `nn.RNN` holds no secret. From here on we use PyTorch's.
#
# What do we do with the states? A classifier looks at the last one, and a generator looks at each. Both may have the
# same body. They differ in the last layer, and in how often that layer is asked.

# %%
yes_no, following = nn.Linear(64, 2), nn.Linear(64, V)
lesson.table(
    ("", "shape", "meaning"),
    ("states", tuple(states.shape), "texts, characters, numbers of the state"),
    ("classifier, asked at the end", tuple(yes_no(states[:, -1]).shape), "texts, answers"),
    ("generator, asked after every character", tuple(following(states).shape), "texts, characters, answers"),
)

# %% [markdown]
# ## How far back does it remember?
#
# Here is an examination in memory. The network reads one letter, and then some more letters that do not matter. At
# the end it must say the **first** letter. There are eight letters, drawn at random, so a network that remembers
# nothing is right once in eight times.
#
# > **Guess first.** The state has 32 numbers, and one letter of eight has to be kept. Over how many other letters
# > will a plain network keep it: 5, 10, 20, 40?

# %%
LETTERS = "abcdefgh"
DISTANCES = (5, 10, 20, 40)


def draw_rows(distance: int, number: int) -> Tensor:
    """Return rows of random letters (number, 1 + distance); the first letter of each is the answer."""
    return torch.randint(len(LETTERS), (number, 1 + distance))


class Pupil(nn.Module):
    """Embedding, a recurrent body, and a layer that is asked at the end: which letter was the first?"""

    def __init__(self, body: nn.RNN | nn.GRU) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(len(LETTERS), 16), body
        self.output = nn.Linear(32, len(LETTERS))

    def forward(self, rows: Tensor) -> Tensor:
        """Return a score (N, 8) for each letter."""
        return self.output(self.body(self.embedding(rows))[0][:, -1])


def examine(body: nn.RNN | nn.GRU, distance: int, steps: int = 300) -> float:
    """Train a pupil with this body on new rows in each step; return the share of right answers on a thousand more."""
    torch.manual_seed(0)
    pupil = Pupil(body)
    optimiser = torch.optim.AdamW(pupil.parameters(), lr=0.005)
    for _ in range(steps):
        rows = draw_rows(distance, 64)
        loss = F.cross_entropy(pupil(rows), rows[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    rows = draw_rows(distance, 1000)
    with torch.no_grad():
        return (pupil(rows).argmax(-1) == rows[:, 0]).float().mean().item()


def plain_body(seed: int = 0) -> nn.RNN:
    """Return a newborn plain network."""
    torch.manual_seed(seed)
    return nn.RNN(16, 32, batch_first=True)


remembered = {"plain": [examine(plain_body(), distance) for distance in DISTANCES]}


def show_remembered() -> None:
    """Show the shares of right answers."""
    lesson.table(
        ("right after so many other letters", *DISTANCES),
        *((name, *map(lesson.percent, shares)) for name, shares in remembered.items()),
        ("random (one of eight)", *[lesson.percent(1 / len(LETTERS))] * 4),
    )


show_remembered()
STEPS = 600
longer = examine(plain_body(), DISTANCES[2], STEPS)
lesson.say(f"With {STEPS} steps in place of 300 it is right after {DISTANCES[2]} letters in {lesson.percent(longer)}.")
assert remembered["plain"][0] > 0.9  # near: no trouble
assert max(*remembered["plain"][2:], longer) < 0.5  # far: nothing but chance

# %% [markdown]
# Near letters are no trouble. Far ones are lost: there the network answers by chance. Not for want of room, since the
# task and the state are the same in all four columns. And not for want of steps, as the last line shows. What is in the
# way?
#
# ## The gradient by distance
#
# Training changes the network by the *gradient*. It says for each number how the loss would change if that number
# changed a little (part 1). We can ask for more than the parameters: how would the loss at the end change if the
# numbers of the letter **just read** changed? And those of the letter before, and so on, back to the first?
#
# Where this gradient is almost zero, the network cannot learn: whatever it does with that letter, the loss stays the
# same.
#
# > **Guess first.** The last letter read has some gradient. What share of it has the letter 40 steps before?


# %%
def gradient_by_distance(body: nn.RNN | nn.GRU, distance: int = 40) -> list[float]:
    """Return how long the gradient of the loss at the end is for the letter 0, 1, 2, ... steps before it."""
    torch.manual_seed(1)
    pupil, rows = Pupil(body), draw_rows(distance, 256)
    x = pupil.embedding(rows).detach().requires_grad_()  # ask for the gradient of these numbers
    scores = pupil.output(pupil.body(x)[0][:, -1])  # asked at the end alone
    F.cross_entropy(
        scores, rows[:, 0], reduction="sum"
    ).backward()  # a sum, so that each text has a gradient of its own
    assert x.grad is not None  # (texts, letters, numbers of an embedding)
    lengths = x.grad.norm(dim=-1)  # length of a list of numbers: the root of the sum of their squares
    return lengths.mean(0).flip(0).tolist()  # mean of all texts, from the end back


def factor(lengths: list[float]) -> float:
    """Return by what each step back multiplies the gradient, on average."""
    return (lengths[-1] / lengths[1]) ** (1 / (len(lengths) - 2))


def stronger(times: float) -> nn.RNN:
    """Return a plain network whose state reads itself with larger weights."""
    body = plain_body()
    with torch.no_grad():
        body.weight_hh_l0.mul_(times)
    return body


curves = {
    "plain, as born": gradient_by_distance(plain_body()),
    "plain, W_h twice as large": gradient_by_distance(stronger(2)),
    "plain, W_h four times as large": gradient_by_distance(stronger(4)),
}


def show_curves(curves: dict[str, list[float]], title: str) -> None:
    """Draw the gradients by distance, each beside that of the last letter."""
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for name, lengths in curves.items():
        axes.semilogy([length / lengths[0] for length in lengths], "o-", markersize=3, label=name)
    axes.axhline(1, color="grey", linestyle=":")
    axes.set_xlabel("how many steps before the end the letter was read")
    axes.set_ylabel("gradient (last letter: 1)")
    axes.set_title(title)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    lesson.show(figure)


show_curves(curves, "Plain networks: the gradient vanishes or explodes")
lost = curves["plain, as born"]
lesson.say(
    f"Each step back multiplies the gradient of the plain network by about {factor(lost):.2f}. "
    f"So after 40 steps {lost[-1] / lost[0]:.0e} of it is left."
)
assert lost[-1] < 1e-9 * lost[0]
assert curves["plain, W_h four times as large"][-1] > 100 * curves["plain, W_h four times as large"][0]

# %% [markdown]
# Each step multiplies by W_h and by the slope of tanh once more, so 40 steps multiply 40 times. A factor below one,
# multiplied by itself so often, leaves nothing: the gradient **vanishes**. A factor above one grows beyond measure:
# the gradient **explodes**. To stay near one, the weights would have to be just right.
#
# ## Gates
#
# The way out is to let the network **keep** the old state instead of computing it anew. A GRU makes three small
# computations at each step:
#
# - the **reset gate** r, numbers between 0 and 1: how much of the old state does the candidate look at?
# - the **update gate** z, numbers between 0 and 1: how much of the old state is kept?
# - the **candidate** n, numbers between -1 and 1: what would replace the old state. This is the plain network's line.
#
# The new state is a mixture, `(1 - z) * n + z * h`. Where z is near 1, the gate is *open*: the old state passes, and
# the network remembers. Where z is near 0, it forgets. The *sigmoid* takes any number to one between 0 and 1, so it
# makes the gates.
#
# Here is the whole model: embedding, GRU, and the layer that says what comes next. The letters in brackets are
# shapes: B texts, T characters, E numbers of an embedding, H numbers of the state, V answers.


# %%
class PlainGRU(nn.Module):
    """Embedding, GRU and output layer, with nothing but sums, products, sigmoid and tanh."""

    def __init__(self, size: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.E = nn.Parameter(torch.randn(size, embedding))  # one row a character
        self.W_x, self.b_x = weights(3 * hidden, embedding), weights(3 * hidden)  # from the character: r, z, n
        self.W_h, self.b_h = weights(3 * hidden, hidden), weights(3 * hidden)  # from the state: r, z, n
        self.W_out, self.b_out = weights(size, hidden), weights(size)  # from the state to the answers

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the next state (B, H) from embeddings x (B, E) and states h (B, H)."""
        x_r, x_z, x_n = (x @ self.W_x.T + self.b_x).chunk(3, dim=-1)  # three times (B, H)
        h_r, h_z, h_n = (h @ self.W_h.T + self.b_h).chunk(3, dim=-1)  # three times (B, H)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return (1 - z) * n + z * h

    def forward(self, ids: Tensor) -> Tensor:
        """Return scores (B, T, V) of what follows each of the characters (B, T)."""
        h, scores = torch.zeros(len(ids), self.W_h.shape[1]), []
        for x in self.E[ids].unbind(1):
            h = self.step(x, h)
            scores.append(h @ self.W_out.T + self.b_out)
        return torch.stack(scores, dim=1)


# %% [markdown]
# That is all. Is it right? We give PyTorch's GRU, Kammil's, and ours the same numbers, and compare.
#
# > **Guess first.** Three programs, 32 texts, thousands of additions each. In which decimal will they differ?

# %%
from kammil.models.gru.network import GRUSettings, build

ours = PlainGRU(V, 32, 64)
kammils = build(V, GRUSettings(embedding=32, hidden=64, dropout=0))
with torch.no_grad():
    for mine, its in (
        (ours.E, kammils.embedding.weight),
        (ours.W_x, kammils.gru.weight_ih_l0),
        (ours.b_x, kammils.gru.bias_ih_l0),
        (ours.W_h, kammils.gru.weight_hh_l0),
        (ours.b_h, kammils.gru.bias_hh_l0),
        (ours.W_out, kammils.output.weight),
        (ours.b_out, kammils.output.bias),
    ):
        mine.copy_(its)
    plain_scores = ours(rows)
    pytorch_scores = kammils.output(kammils.gru(kammils.embedding(rows))[0])  # kammils.gru is a torch.nn.GRU
    kammil_scores = kammils(rows)
differences = {
    "torch.nn.GRU": (plain_scores - pytorch_scores).abs().max().item(),
    "Kammil's GRU": (plain_scores - kammil_scores).abs().max().item(),
}
lesson.table(("our thirty lines against", "largest difference"), *((k, f"{v:.1e}") for k, v in differences.items()))
assert max(differences.values()) < 1e-6

# %% [markdown]
# To six decimals they say the same. Nothing is hidden in the library: you have read the whole network.
#
# ## Do gates remember?
#
# The same examination. A newborn GRU has its update gates half open: z is near one half. So another pupil is a GRU
# that is *born* with z near 1, because we raise the bias b of that gate. It is born with the habit of keeping, and
# may unlearn it. The plain network with larger weights, whose gradient lived longest, is examined too.
#
# > **Guess first.** Half of the state is kept at each step. Is that enough to remember over 40 letters?


# %%
def gated_body(keep: float = 0.0) -> nn.GRU:
    """Return a newborn GRU; `keep` is the bias of its update gate."""
    torch.manual_seed(0)
    body = nn.GRU(16, 32, batch_first=True)
    if keep:
        with torch.no_grad():
            body.bias_ih_l0[32:64] = keep  # the rows of z
    return body


KEEP = 2.0
lesson.say(
    f"z is about {torch.sigmoid(torch.tensor(0.0)).item():.2f} in a newborn GRU, "
    f"and about {torch.sigmoid(torch.tensor(KEEP)).item():.2f} with the bias {KEEP:.0f}."
)
remembered["plain, W_h twice as large"] = [examine(stronger(2), distance) for distance in DISTANCES]
remembered["GRU, as born"] = [examine(gated_body(), distance) for distance in DISTANCES]
remembered["GRU, born to keep"] = [examine(gated_body(KEEP), distance) for distance in DISTANCES]
show_remembered()
assert min(remembered["GRU, born to keep"]) > 0.95
assert remembered["GRU, as born"][-1] < 0.5
assert max(remembered["plain, W_h twice as large"][2:]) < 0.9

# %% [markdown]
# The GRU that was born to keep remembers over every distance. The GRU as born fails at the longer ones: half of a
# half of a half soon is nothing, too. The plain network with larger weights remembers now and then, and never surely.
# (Each figure is one training run. Chance decides some of them, such as those between nothing and all.)
#
# So it is not the gate by itself that remembers. It is **a gate that is open**: z near 1, so that the old state passes.
# Is it the gradient that arrives? Look at it by distance, and beside it at how much one step changes the state.

# %%
gated_curves = {
    "plain, as born": lost,
    "plain, W_h twice as large": curves["plain, W_h twice as large"],
    "GRU, as born": gradient_by_distance(gated_body()),
    "GRU, born to keep": gradient_by_distance(gated_body(KEEP)),
}


def step_changes(body: nn.RNN | nn.GRU) -> float:
    """Return how long the change of the state in one step is, as a share of the state."""
    torch.manual_seed(1)
    pupil, rows = Pupil(body), draw_rows(40, 256)
    with torch.no_grad():
        states = body(pupil.embedding(rows))[0][:, 20:]
    return ((states[:, 1:] - states[:, :-1]).norm(dim=-1) / states[:, :-1].norm(dim=-1)).mean().item()


bodies = (plain_body(), stronger(2), gated_body(), gated_body(KEEP))
changed = dict(zip(gated_curves, map(step_changes, bodies), strict=True))
show_curves(gated_curves, "What gates do to the gradient")
lesson.table(
    ("", "a step back multiplies by", "left after 40 steps", "a step changes the state by"),
    *((k, f"{factor(g):.2f}", f"{g[-1] / g[0]:.0e}", lesson.percent(changed[k])) for k, g in gated_curves.items()),
)
kept = {name: g[-1] / g[0] for name, g in gated_curves.items()}
assert kept["plain, as born"] < kept["GRU, as born"] < 1e-3 < kept["GRU, born to keep"]
assert kept["GRU, born to keep"] < kept["plain, W_h twice as large"]
assert min(changed, key=changed.__getitem__) == "GRU, born to keep" and changed["plain, W_h twice as large"] > 1

# %% [markdown]
# A factor near one, even multiplied by itself many times, leaves something to learn from. But that is not all. The
# plain network with larger weights gets as much gradient as the GRU that was born to keep, and remembers less. It
# computes its state anew at each letter, as the last column shows, so every letter disturbs what stands there. **To
# remember, a gradient must arrive, and the state must be kept undisturbed.** An open gate does both. And the network
# can open and close it at each letter: z is computed from what it reads.
#
# Do texts need so long a memory? Part 6 measures how far back a model of posts looks.
#
# ## The layers
#
# > **Guess first.** The notebook takes an embedding of 128 numbers and a state of 256. Which layer has the most
# > parameters?

# %%
E, H = 128, 256
layers = {"embedding": nn.Embedding(V, E), "GRU": nn.GRU(E, H), "output": nn.Linear(H, V)}
numbers = {name: sum(p.numel() for p in layer.parameters()) for name, layer in layers.items()}
lesson.table(
    ("layer", "shapes of its parameters", "how many"),
    *(
        (name, ", ".join("x".join(map(str, p.shape)) for p in layer.parameters()), f"{numbers[name]:,}")
        for name, layer in layers.items()
    ),
    ("total", "", f"{sum(numbers.values()):,}"),
)
assert numbers["GRU"] == 3 * H * (E + H + 2)  # r, z and n each read the character and the state, and have two biases
lesson.claim(numbers["GRU"] > sum(numbers.values()) / 2, "most parameters are in the GRU")

# %% [markdown]
# Most parameters are in the GRU. Its largest matrix is three times the state by the state, so with twice the state
# that matrix is four times as large. `kammil info MODEL --layers` prints such a table of a trained model.
#
# ## The loss at birth
#
# The network gives each character a score, and *softmax* makes probabilities of the scores: e to the power of each,
# divided by the sum of all. The *loss* is how surprised the network was by the true character: minus the logarithm of
# its probability. With the natural logarithm the unit is the *nat*. With the logarithm to base 2 it is the **bit**,
# the answer to one yes/no question. The mean over all characters is called **bits per character**.
#
# A newborn network has learnt nothing yet. So it should give all V characters about the same probability, 1/V. Then
# its loss is ln V nats, which is log2 V bits.
#
# > **Guess first.** Will the loss of newborn networks be exactly ln V, a little less or a little more? (They are born
# > with random numbers, so we take eight of each size.)


# %%
def loss_at_birth(model: PlainGRU) -> float:
    """Return the mean loss in nats of an untrained model on test posts, blanks left out."""
    rows = rectangle(test[:32])
    with torch.no_grad():
        scores = model(rows[:, :-1])  # after each character but the last
    return F.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=0).item()


born = {size: [loss_at_birth(PlainGRU(V, 32, size)) for _ in range(8)] for size in (16, 64, 256)}
means = {size: sum(losses) / len(losses) for size, losses in born.items()}
lesson.table(
    ("network", "nats, mean of 8", "bits, mean of 8", "fewest and most nats"),
    *(
        (
            f"state of {size}",
            f"{means[size]:.3f}",
            f"{means[size] / math.log(2):.3f}",
            f"{min(losses):.3f} and {max(losses):.3f}",
        )
        for size, losses in born.items()
    ),
    ("random (1/V): ln V, log2 V", f"{math.log(V):.3f}", f"{math.log2(V):.3f}", ""),
)
lesson.claim(all(abs(mean - math.log(V)) < 0.1 for mean in means.values()), "the loss at birth is near ln V")
lesson.claim(all(mean > math.log(V) - 0.01 for mean in means.values()), "the loss at birth is not below ln V")

# %% [markdown]
# Very near: slightly more, on average. A newborn network does not spread its probability quite evenly, and that
# costs.
#
# This is the cheapest test in the field: **if the first loss is far from ln V, something is broken.** For example the
# weights are far too large, or a sum stands in place of a mean. We break it on purpose.
#
# > **Guess first.** All weights of the last layer 50 times too large. What is the loss at birth?

# %%
broken = PlainGRU(V, 32, 64)
with torch.no_grad():
    broken.W_out.mul_(50)
lesson.say(
    f"With output weights 50 times too large the loss is {loss_at_birth(broken):.2f} nats instead of {math.log(V):.2f}."
)
lesson.claim(loss_at_birth(broken) > math.log(V) + 0.5, "too large weights are seen in the loss at birth")

# %% [markdown]
# ## What to keep
#
# - A generator is a classifier with V answers, asked again and again: *autoregressive*.
# - A recurrent network carries one list of numbers, the state, from character to character. The state is all its
#   memory.
# - In a plain network the gradient is multiplied by about the same factor at each step: it *vanishes* or *explodes*.
# - A GRU has three small computations: look back (r), keep (z), candidate (n). An open gate z lets the gradient
#   through and keeps the state undisturbed.
# - Loss at birth is ln V. Bits are nats divided by ln 2.
#
# ## Exercises
#
# Replace each `...` and run the cell. The check says whether your answer is right.
#
# 1. How many parameters has a GRU with embedding 32 and state 64? Compute it, do not count it.

# %%
answer_1 = ...
lesson.check(answer_1, sum(p.numel() for p in nn.GRU(32, 64).parameters()), "count r, z and n, each with two biases")

# %% [markdown]
# 2. Make a `PlainGRU(V, 8, 16)` whose state never changes, whatever it reads. Change only `b_x`. (Its rows are
# those of r, of z, of n. Put the change into `with torch.no_grad():`.)

# %%
answer_2 = ...


def keeps_all(gru: PlainGRU) -> bool:
    """Say whether a step of this GRU leaves the state as it is."""
    h = torch.rand(4, 16)
    return torch.allclose(gru.step(torch.randn(4, 8), h), h, atol=1e-2)


lesson.check(answer_2, keeps_all, "which gate keeps the old state? Make its bias very large")

# %% [markdown]
# 3. For which gates is a GRU a plain recurrent network? Make a `PlainGRU(V, 8, 16)` whose new state is
# `tanh(x_n + h_n)`, the plain network's line. Change only `b_x`.

# %%
answer_3 = ...


def is_plain(gru: PlainGRU) -> bool:
    """Say whether a step of this GRU is the step of a plain network."""
    x, h = torch.randn(4, 8), torch.rand(4, 16)
    line = torch.tanh(x @ gru.W_x[32:].T + gru.b_x[32:] + h @ gru.W_h[32:].T + gru.b_h[32:])
    return torch.allclose(gru.step(x, h), line, atol=1e-2)


lesson.check(
    answer_3,
    is_plain,
    "let the candidate see all of the old state and keep nothing: give both gates very large biases",
)

# %% [markdown]
# 4. A vocabulary has 50 characters. How many bits per character should a newborn network need?

# %%
answer_4 = ...
lesson.check(
    answer_4,
    F.cross_entropy(torch.zeros(1, 50), torch.tensor([7])).item() / math.log(2),
    "a newborn network gives each of them 1/50",
)

# %% [markdown]
# The answers stand in [a file of their own](solutions/3_the_network.py).
#
# Next: [4. Teacher forcing, by experiment](4_teacher_forcing.ipynb)

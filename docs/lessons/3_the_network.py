# %% [markdown]
# # 3. The network, in thirty lines
#
# What is inside? In this part you build a GRU (*gated recurrent unit*, the notebook's network) out of additions and
# multiplications, and check it against PyTorch and against Kammil to the sixth decimal.
#
# **In this part:** classification and generation, the picture of the network, the GRU in thirty lines, a summary of
# its layers, and the loss at birth.

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

from kammil.models.gru.backprop import gru_forward
from kammil.models.gru.network import GRUSettings, build, textbook_gru
from kammil.vocabulary import CharacterVocabulary

torch.manual_seed(0)
train, test = lesson.split([post for post in lesson.posts() if len(post) >= 60])
vocabulary = CharacterVocabulary.from_texts(train)
V = vocabulary.size
print("V =", V, "(four of them are marks: blank, unknown character, beginning of text, end of text)")

# %% [markdown]
# ## Classification and generation
#
# A *classifier* gives one answer from a fixed list: is this post a question, yes or no? A *generator* writes a text,
# and there are far too many possible texts to list.
#
# > **Guess first.** How many different answers of 30 characters are there? More than there are stars in the universe
# > (about 10^24)?

# %%
print(f"a yes/no classifier: 2 answers; a generator of 30 characters: about 10^{30 * math.log10(V):.0f} answers")

# %% [markdown]
# No list can hold them. All text generators, the largest ones included, use the same trick: **a generator is a
# classifier that is asked again and again.** The question is always "Which character comes next?", and the list of
# answers is the vocabulary. The answer is appended to the text, and the question is asked again. A model that predicts
# each piece from the pieces before it is called *autoregressive*.
#
# So a classifier and a generator may share their body; they differ in the last layer and in how often it is asked. (A
# *layer* is one step of the computation, with numbers of its own, its *parameters*. `nn.Linear` is the simplest: each
# number that comes out is a weighted sum of those that go in, and the weights are its parameters.)

# %%
texts = nn.utils.rnn.pad_sequence([torch.from_numpy(vocabulary.encode(t)) for t in train[:32]], batch_first=True)
body = build(V, GRUSettings(embedding=32, hidden=64, dropout=0))
states = gru_forward(body.gru, body.embedding, texts)  # one list of 64 numbers after each character
yes_no = nn.Linear(64, 2)(states[:, -1])  # asked once, at the end (to use it, take the place before the blanks)
following = body.output(states)  # asked after every character
lesson.table(
    ("", "shape of the answer", "meaning"),
    ("state", tuple(states.shape), "texts, characters, numbers of the state"),
    ("classifier", tuple(yes_no.shape), "texts, answers"),
    ("generator", tuple(following.shape), "texts, characters, answers"),
)

# %% [markdown]
# ## The picture
#
# Read it from right to left, as the text in it is read. At the bottom characters go in, one at each step. In the
# middle stands the *state*: a list of numbers, carried from step to step. It is all that the network remembers. At the
# top stands what the network should say: the next character. Before the first character it reads a mark, *start*.


# %%
def draw(read: list[str], say: list[str], title: str) -> None:
    """Draw a recurrent network that reads characters and says the following ones, from right to left.

    Where it reads nothing, its state stays the same.
    """
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    n = len(read)
    for i in range(n):
        x = n - 1 - i
        middle = ("GRU", "#f7e3c8") if read[i] else ("copy", "#eeeeee")
        for y, label, colour in ((0, read[i], "#e8eef7"), (1, *middle), (2, say[i], "#dff0dd")):
            if label:
                box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "#555"}
                axes.text(x, y, label, ha="center", va="center", fontsize=12, bbox=box)
        for low, shown in ((0, read[i]), (1, say[i])):
            if shown:
                axes.annotate("", (x, low + 0.72), (x, low + 0.28), arrowprops={"arrowstyle": "->"})
        if i + 1 < n:
            axes.annotate(
                "", (x - 0.68, 1), (x - 0.32, 1), arrowprops={"arrowstyle": "->", "lw": 2, "color": "#b36b00"}
            )
    for y, label in ((0, "reads"), (1, "state"), (2, "says next")):
        axes.text(n - 0.3, y, label, ha="left", va="center", color="#555")
    axes.set_xlim(-0.7, n + 0.6)
    axes.set_ylim(-0.5, 2.5)
    axes.set_axis_off()
    axes.set_title(title)
    lesson.show(figure)


piece = "شو حلو"
draw(["start", *map(lesson.letter, piece)], [*map(lesson.letter, piece), "end"], "One text, shifted by one")

# %% [markdown]
# The notebook's network is drawn in the same way, with one difference. After the half it reads nothing more; its state
# is copied, and it must say thirty characters (here four). Look at the two pictures: what is the trouble? Part 4 tries
# it.

# %%
draw(
    [*map(lesson.letter, "شو ح"), "", "", ""],
    ["", "", "", *"لو؟", "end"],
    "The notebook: after the half it reads nothing",
)

# %% [markdown]
# What the network reads and what it must say is one text, shifted by one place. Kammil's `make_rows` and `pad` do
# that (`objective="text"` asks for every character of the text; BOS and EOS are the marks for the beginning and the end
# of a text):

# %%
from kammil.training.batches import make_rows, pad
from kammil.vocabulary import BOS, EOS

shifted = pad(make_rows([vocabulary.encode(piece)], objective="text", block=512))
assert shifted.inputs[0, 0] == BOS
assert shifted.targets[0, -1] == EOS
assert (shifted.inputs[0, 1:] == shifted.targets[0, :-1]).all()
lesson.table(
    ("reads", *(lesson.letter(vocabulary.piece(i)) or "start" for i in shifted.inputs[0])),
    ("says", *(lesson.letter(vocabulary.piece(i)) or "end" for i in shifted.targets[0])),
)

# %% [markdown]
# ## Thirty lines
#
# Each character has a list of numbers, its *embedding* x. The state before it is h. Three small computations make the
# new state:
#
# - the **reset gate** r, numbers between 0 and 1: how much of the old state does the candidate look at?
# - the **update gate** z, numbers between 0 and 1: how much of the old state is kept?
# - the **candidate** n, numbers between -1 and 1: what would replace the old state.
#
# The new state is a mixture, `(1 - z) * n + z * h`. Where z is near 1, the network remembers; where it is near 0, it
# forgets. All W and b below are parameters, which training will choose. Two functions keep the results in their range:
# the *sigmoid* takes any number to one between 0 and 1, *tanh* to one between -1 and 1.


# %%
class PlainGRU(nn.Module):
    """Embedding, GRU and output layer, with nothing but sums, products, sigmoid and tanh."""

    def __init__(self, size: int, embedding: int, hidden: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden)

        def weights(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.E = nn.Parameter(torch.randn(size, embedding))  # one row a character
        self.W_x, self.b_x = weights(3 * hidden, embedding), weights(3 * hidden)  # from the character: r, z, n
        self.W_h, self.b_h = weights(3 * hidden, hidden), weights(3 * hidden)  # from the state: r, z, n
        self.W_out, self.b_out = weights(size, hidden), weights(size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the next state (B, H) from embeddings x (B, E) and states h (B, H)."""
        x_r, x_z, x_n = (x @ self.W_x.T + self.b_x).chunk(3, dim=-1)
        h_r, h_z, h_n = (h @ self.W_h.T + self.b_h).chunk(3, dim=-1)
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
ours = PlainGRU(V, 32, 64)
theirs = build(V, GRUSettings(embedding=32, hidden=64, dropout=0))  # Kammil's; inside lies a torch.nn.GRU
with torch.no_grad():
    for mine, its in (
        (ours.E, theirs.embedding.weight),
        (ours.W_x, theirs.gru.weight_ih_l0),
        (ours.b_x, theirs.gru.bias_ih_l0),
        (ours.W_h, theirs.gru.weight_hh_l0),
        (ours.b_h, theirs.gru.bias_hh_l0),
        (ours.W_out, theirs.output.weight),
        (ours.b_out, theirs.output.bias),
    ):
        mine.copy_(its)
    ids = texts[:, :40]
    kammil_scores = theirs(ids)
    pytorch_scores = theirs.output(theirs.gru(theirs.embedding(ids))[0])
    definition = theirs.output(textbook_gru(theirs.gru, theirs.embedding(ids)))
    plain_scores = ours(ids)
differences = {
    "torch.nn.GRU": (plain_scores - pytorch_scores).abs().max().item(),
    "Kammil's GRU, which trains": (plain_scores - kammil_scores).abs().max().item(),
    "Kammil's definition, textbook_gru": (plain_scores - definition).abs().max().item(),
}
lesson.table(("our thirty lines against", "largest difference"), *((k, f"{v:.1e}") for k, v in differences.items()))
assert max(differences.values()) < 1e-6

# %% [markdown]
# To six decimals they say the same. Nothing is hidden in the library: you have read the whole network.
#
# ## A summary of the model
#
# > **Guess first.** The notebook's sizes: embedding 128, state 256. Which layer has the most parameters?


# %%
def summary(model: nn.Module) -> list[tuple[object, ...]]:
    """List the layers of a model: name, shapes of its parameters, how many there are, how many of them are trained."""
    rows = []
    for name, layer in model.named_children():
        own = list(layer.parameters())
        if own:
            shapes = ", ".join("x".join(map(str, p.shape)) for p in own)
            rows.append((name, shapes, sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)))
    return rows


notebook = build(V, GRUSettings())
layers = summary(notebook)
lesson.table(
    ("layer", "shapes", "parameters", "trainable"),
    *((name, shapes, f"{n:,}", f"{t:,}") for name, shapes, n, t in layers),
    ("total", "", f"{sum(r[2] for r in layers):,}", f"{sum(r[3] for r in layers):,}"),
)
E, H = 128, 256
assert layers[1][2] == 3 * H * (E + H + 2)  # three gates, each reads the character and the state, and has two biases

# %% [markdown]
# Most parameters are in the GRU, and most of those in its matrix of 768x256, three times the state by the state: with
# twice the state it is four times as large. *Trainable* are the parameters that training may change; here all are.
# `kammil info MODEL --layers` prints such a table of a trained model.
#
# ## The loss at birth
#
# The network gives each character a score, and *softmax* makes probabilities of the scores: e to the power of each,
# divided by the sum of all. The *loss* is how surprised it was by the true character: minus the logarithm of the
# probability that it gave to it. Probability 1: no surprise, loss 0. With the natural logarithm the unit is called
# *nat*; with the logarithm to base 2 it is the **bit**, the answer to one yes/no question. The mean over all
# characters is called **bits per character**.
#
# A newborn network, which has learnt nothing yet, should give all V characters about the same probability, 1/V. Then
# its loss is ln V nats, which is log2 V bits.
#
# > **Guess first.** V is above. Will the loss of newborn networks be exactly ln V, a little less or a little more?
# > (They are born with random numbers, so we take eight of each size.)


# %%
def loss_at_birth(model: nn.Module) -> float:
    """Return the mean loss in nats of an untrained model on test posts, blanks left out."""
    rows = pad(make_rows([vocabulary.encode(t) for t in test[:64]], objective="text", block=512))
    with torch.no_grad():
        scores = model.eval()(torch.from_numpy(rows.inputs.copy()))
    counted = torch.from_numpy(rows.counted)
    return F.cross_entropy(scores[counted], torch.from_numpy(rows.targets.copy())[counted]).item()


born = {size: [loss_at_birth(build(V, GRUSettings(hidden=size))) for _ in range(8)] for size in (16, 64, 256)}
means = {size: sum(losses) / len(losses) for size, losses in born.items()}
lesson.table(
    ("network", "nats, mean of 8", "bits, mean of 8", "least and most nats"),
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
assert all(abs(mean - math.log(V)) < 0.1 for mean in means.values())

# %% [markdown]
# Very near: slightly more, on average. A newborn network does not spread its probability quite evenly, and that costs.
# This is the cheapest test in the field: **if the first loss is far from ln V, something is broken** (for example
# weights that are far too large, a sum in place of a mean, a logarithm to another base). We break it on purpose.
#
# > **Guess first.** All weights of the last layer 50 times too large. What is the loss at birth?

# %%
broken = build(V, GRUSettings(hidden=64))
with torch.no_grad():
    broken.output.weight.mul_(50)
print(f"output weights 50 times too large: {loss_at_birth(broken):.2f} nats instead of {math.log(V):.2f}")
assert loss_at_birth(broken) > math.log(V) + 0.5

# %% [markdown]
# ## What to keep
#
# - A generator is a classifier with V answers, asked again and again: *autoregressive*.
# - A recurrent network carries one list of numbers, the state, from character to character. That is all its memory.
# - A GRU has three small computations: look back (r), keep (z), candidate (n).
# - Loss at birth is ln V. Bits are nats divided by ln 2.
#
# ## Exercises
#
# 1. How many parameters has a GRU with embedding 32 and state 64? Compute first, then count.
# 2. Freeze the embedding (`requires_grad_(False)`). What does the summary say, and what does training no longer do?
# 3. Hold the update gate at 1, by a large bias. What does the state do while the network reads?

# %% [markdown]
# ### Solutions

# %%
gru = nn.GRU(32, 64)
assert sum(p.numel() for p in gru.parameters()) == 3 * 64 * (32 + 64 + 2)

# %%
notebook.embedding.requires_grad_(False)
assert summary(notebook)[0][3] == 0  # still counted in the total; its numbers stay as they were born

# %%
stuck = PlainGRU(V, 8, 16)
with torch.no_grad():
    stuck.b_x[16:32] = 100.0  # rows of z
h = torch.randn(1, 16)
with torch.no_grad():
    assert torch.allclose(stuck.step(torch.randn(1, 8), h), h)  # it keeps everything, and reads nothing

# %% [markdown]
# Next: [4. Teacher forcing, by experiment](4_teacher_forcing.ipynb)

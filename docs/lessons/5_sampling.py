# %% [markdown]
# # 5. Choosing the next letter
#
# A model gives a probability to every character. One of them must be chosen, and then the next. The same model writes
# dull or wild text, depending on that choice alone. The choice is called *decoding* or *sampling*.
#
# **In this part:** greedy, temperature with its formula, top-k, top-p, min-p, a figure with sliders, and which
# temperature to take for what. We use `levantine`, the model of the package; nothing is trained here.

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
import re

import matplotlib.pyplot as plt
import numpy as np

import kammil
from kammil.decoding.filters import log_softmax
from kammil.decoding.filters import min_p as library_min_p
from kammil.decoding.filters import temperature as library_temperature
from kammil.decoding.filters import top_k as library_top_k
from kammil.decoding.filters import top_p as library_top_p
from kammil.evaluation.text_overlap import chrf, chrf_columns

train, test = lesson.split([post for post in lesson.posts() if len(post) >= 60])
levantine = kammil.load()
TARGET = 30

# %% [markdown]
# ## One distribution
#
# The prompt is "what do you think, shall we go up to the ...". What comes next? (`normalise` writes characters that
# mean the same in one way, as the model learnt them.)


# %%
def next_letters(prompt: str) -> tuple[list[str], np.ndarray]:
    """Return all characters that may follow a prompt and their probabilities, the most probable first."""
    log_p, _ = levantine.after(levantine.normalise(prompt))
    p = np.exp(np.asarray(log_p, np.float64).reshape(-1))
    pieces = [lesson.letter(piece) or "end" for piece in map(levantine.vocabulary.piece, range(len(p)))]
    p[list(levantine.vocabulary.unwritable)] = 0  # blank, unknown, beginning: never written
    order = np.argsort(-p)
    order = order[p[order] > 0]
    return [pieces[i] for i in order], p[order] / p.sum()


prompt = "شو رأيكم نطلع على ال"
letters, p = next_letters(prompt)
print(
    len(p), "of its", levantine.vocabulary.size, "symbols may follow (blank, unknown and beginning are never written)"
)
print("the first is", letters[0], "with", lesson.percent(float(p[0])))
print(f"random (1/V): {lesson.percent(1 / len(p))} each")

# %% [markdown]
# *Greedy* decoding always takes the first. It is the best guess for **one** character. For a text it is not, as you
# will see.
#
# ## Temperature
#
# ```text
#                   p_i ^ (1 / T)
# p_i at T  =  ---------------------------
#              sum over all j: p_j ^ (1 / T)
# ```
#
# Each probability is raised to the power 1/T, and all are divided by their sum, so that they add up to 1 again.
#
# - T = 1 changes nothing.
# - T below 1 makes the rich richer: at T = 0.5 all probabilities are squared. Near T = 0 only the first is left:
#   greedy.
# - T above 1 makes all more equal. The larger T, the nearer all come to the same probability, 1/V.
#
# > **Guess first.** The first letter's probability is above. What is it at T = 0.5 and at T = 1.5?


# %%
def at_temperature(p: np.ndarray, t: float) -> np.ndarray:
    """Return the distribution at temperature t."""
    q = (p / p.max()) ** (1 / t)  # dividing by the largest changes nothing and avoids numbers too small to hold
    return q / q.sum()


TEMPERATURES = (0.5, 1.0, 1.5)
shown = 12
figure, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for axes, t in zip(panels, TEMPERATURES, strict=True):
    q = at_temperature(p, t)
    axes.bar(range(shown), 100 * q[:shown])
    axes.set_xticks(range(shown), letters[:shown], fontsize=11)
    axes.invert_xaxis()
    rest = q[shown:].sum()
    axes.set_title(f"T = {t:g}\nall others together: {lesson.percent(float(rest))}", fontsize=10)
panels[0].set_ylabel("probability, %")
lesson.show(figure)
lesson.table(
    ("temperature", f"first letter, {letters[0]}", "the 12 shown", "all others"),
    *(
        (t, *(lesson.percent(float(x)) for x in (q[0], q[:shown].sum(), q[shown:].sum())))
        for t, q in ((t, at_temperature(p, t)) for t in TEMPERATURES)
    ),
    ("random (1/V)", *(lesson.percent(x / len(p)) for x in (1, shown, len(p) - shown))),
)
mine = at_temperature(p, 0.5)
its = np.exp(log_softmax(library_temperature(0.5)(np.log(p)[None])))[0]
assert np.allclose(mine, its)

# %% [markdown]
# Look at "all others" at T = 1.5. Each of them is improbable, but they are many, and together they are drawn often. A
# text of 30 letters needs 30 draws, and one absurd letter spoils a word. So this *tail* of improbable characters is cut
# off, in one of three ways.
#
# ## Three ways to cut the tail
#
# - **top-k** keeps the k most probable characters.
# - **top-p** keeps the most probable ones until they hold the share p together.
# - **min-p** keeps those that have at least this share of the first one's probability.
#
# Each is one line:


# %%
def top_k(p: np.ndarray, k: int) -> np.ndarray:
    """Keep the k most probable; p is sorted."""
    return np.where(np.arange(len(p)) < k, p, 0)


def top_p(p: np.ndarray, mass: float) -> np.ndarray:
    """Keep the most probable until they hold this mass; p is sorted."""
    return np.where(np.cumsum(p) - p < mass, p, 0)


def min_p(p: np.ndarray, share: float) -> np.ndarray:
    """Keep what has at least this share of the first one's probability."""
    return np.where(p >= share * p[0], p, 0)


for ours, theirs in (
    (top_k(p, 5), library_top_k(5)),
    (top_p(p, 0.9), library_top_p(0.9)),
    (min_p(p, 0.1), library_min_p(0.1)),
):
    kept = np.isfinite(theirs(np.log(p)[None])[0])
    assert (kept == (ours > 0)).all()  # the library's filters keep the same characters

# %% [markdown]
# Which is best? They differ in how they treat a place where the model is *sure* and one where it is not. In the middle
# of a word one letter may have 95 %; at the beginning of a word twenty letters are fine.
#
# > **Guess first.** top-k 5, top-p 0.9 and min-p 0.1 at a sure place and at an unsure one: how many characters does
# > each keep?

# %%
places = {"sure": "صباح الخي", "unsure": prompt}
lesson.table(
    ("place", "prompt", "first letter has", "top-k 5 keeps", "top-p 0.9 keeps", "min-p 0.1 keeps"),
    *(
        (
            name,
            text,
            lesson.percent(float(q[0])),
            *(int((f > 0).sum()) for f in (top_k(q, 5), top_p(q, 0.9), min_p(q, 0.1))),
        )
        for name, text, q in ((name, text, next_letters(text)[1]) for name, text in places.items())
    ),
)
sure, unsure = (next_letters(text)[1] for text in places.values())
assert (top_p(sure, 0.9) > 0).sum() < (top_p(unsure, 0.9) > 0).sum()
assert (min_p(sure, 0.1) > 0).sum() < (min_p(unsure, 0.1) > 0).sum()

# %% [markdown]
# top-k keeps five whatever the place: too many where the model is sure, too few where it is not. The other two adapt.
#
# ## Try it
#
# This figure needs nothing but a browser. Move the sliders. (Temperature comes first, then top-k, top-p and min-p.)

# %%
lesson.display(lesson.Sliders(prompt, letters[:60], p[:60] / p[:60].sum()))

# %% [markdown]
# ## Five examples with the truth
#
# As the notebook shows them: a half, what the person wrote, and what the model writes greedily and at three
# temperatures. (`presence_penalty` is one more setting, which keeps a text from repeating itself. It is off here.)
#
# > **Guess first.** How will you know the careful texts (greedy and T = 0.5) from the wild ones, even if you read no
# > Arabic?


# %%
def complete(post: str, t: float, seed: int = 1) -> str:
    """Complete the first half of a post."""
    return levantine.complete(post[: len(post) // 2], length=TARGET, temperature=t, seed=seed, presence_penalty=0).text


for post in test[:5]:
    half = len(post) // 2
    lesson.table(
        ("", "half of a post"),
        ("given", post[:half]),
        ("the person", post[half : half + TARGET]),
        *((f"T = {t:g}" if t else "greedy", complete(post, t)) for t in (0, *TEMPERATURES)),
    )

# %% [markdown]
# At low temperatures the model repeats words that it has just read. The first greedy one takes a word of the given
# half (المي, "the water") and writes it twice; the fourth begins with the same word twice (المستشفى, "the hospital").
# Two of those at T = 0.5 copy words of their half (الحدود, "the border"; الكابتن حكالي, "the coach told me"). And
# careful texts are alike: the first two greedy ones belong to different posts, and in both the water (المي) goes down
# to the market (عالسوق). T = 1.5 breaks words (للتنسوا is none). (Where a text is shorter than 30 characters, the
# model has said *end*.) But do not choose by five examples.
#
# ## Which temperature for what? Measure
#
# There is no best temperature, there is one for a purpose. So we take several measures, on all test posts:
#
# - **right in place**: the notebook's accuracy of a written text;
# - **first word**: the first whole word after the half is the person's;
# - **one in five**: five texts are written; in at least one of them the first word is the person's. This is a keyboard
#   that offers five suggestions;
# - **existing words**: as in part 1;
# - **different**: of all runs of four characters that were written, how many are different? People repeat themselves a
#   little, bad decoding a lot;
# - **chrF**: how many short pieces of the person's text occur anywhere in the written one, 0 to 100.
#
# > **Guess first.** Which temperature wins "first word"? And "one in five"?

# %%
WORD = r"[^\W\d_]{2,}"
known = {word for post in train for word in re.findall(WORD, post)}
truth = [post[len(post) // 2 :][:TARGET] for post in test]


def first_word(text: str) -> str:
    """Return the first piece of a text up to the next space; the piece may be the end of a begun word."""
    return text[1:].split(" ", maxsplit=1)[0] if text[:1] == " " else text.split(" ", maxsplit=1)[0]


def measures(five: list[list[str]]) -> list[float]:
    """Return the six measures of five texts for each test post."""
    texts = five[0]
    words = [word for text in texts for word in re.findall(WORD, text)[:-1]]
    grams = [text[i : i + 4] for text in texts for i in range(len(text) - 3)]
    placed = sum(a == b for text, true in zip(texts, truth, strict=True) for a, b in zip(text, true, strict=False))
    return [
        placed / sum(map(len, truth)),
        float(np.mean([first_word(a) == first_word(b) for a, b in zip(texts, truth, strict=True)])),
        float(np.mean([any(first_word(t[i]) == first_word(true) for t in five) for i, true in enumerate(truth)])),
        sum(word in known for word in words) / max(1, len(words)),
        len(set(grams)) / max(1, len(grams)),
        float(chrf(chrf_columns(texts, truth).sum(0, keepdims=True))[0]) / 100,
    ]


settings = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5)
scores = {t: measures([[complete(post, t, seed) for post in test] for seed in range(5)]) for t in settings}
chance = np.random.default_rng(0)
alphabet = sorted(set("".join(train)))
noise = [["".join(chance.choice(alphabet, TARGET)) for _ in test] for _ in range(5)]
heads = ("right in place", "first word", "one in five", "existing words", "different", "chrF")
lesson.table(
    ("temperature", *heads),
    *((f"{t:g}" if t else "0: greedy", *(f"{100 * x:.1f}" for x in row)) for t, row in scores.items()),
    ("the people", *(f"{100 * x:.1f}" for x in measures([truth] * 5))),
    ("random (1/V)", *(f"{100 * x:.1f}" for x in measures(noise))),
    note=f"{len(test)} test posts; all in per cent.",
)

# %%
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for i in (1, 2, 3, 4):
    axes.plot(settings, [100 * scores[t][i] for t in settings], "o-", markersize=4, label=heads[i])
axes.set_xlabel("temperature")
axes.set_ylabel("%")
axes.set_ylim(0, 100)
axes.legend(fontsize=8, ncols=2)
lesson.show(figure)

# %%
best_single = max(settings, key=lambda t: scores[t][1])
best_five = max(settings, key=lambda t: scores[t][2])
human = measures([truth] * 5)[4]
most_human = min(settings, key=lambda t: abs(scores[t][4] - human))
print(f"one answer, as often right as possible: T = {best_single:g}")
print(f"five different suggestions: T = {best_five:g}")
print(f"repeats itself about as often as people do: T = {most_human:g}")
assert scores[best_five][2] > scores[0.0][2]
assert scores[0.0][4] < scores[1.0][4]
assert scores[1.5][3] < scores[0.7][3]

# %% [markdown]
# So, which would you choose?
#
# - **One suggestion that should be right**: 0 to 0.5. (The cell above names the temperature with the most first words
#   right. But it is ahead of temperature 0 by only a few posts, which may be chance; part 7 shows how to find out.)
# - **Several suggestions, or a draft to choose from**: 0.3 to 1. At 0 all five are the same, and four are wasted.
#   (From 0.3 to 1 the figures lie so near each other that the best of them may be the best by chance, too.)
# - **A text that is as varied as a person's**: about 1. (At 0.7 more of the words exist, and the text repeats itself
#   more. At 1.5 far fewer of the words exist: nonsense is varied, too.)
# - **Above 1**: for fun. Words break.
#
# These figures are from texts of 30 letters by one model. For yours, run the cell again with it.
#
# ## What to keep
#
# - Greedy: always the first. For one word it is nearly as good as any other choice here; for a text it is dull.
# - Temperature: p to the power 1/T. Below 1 safer, above 1 wilder.
# - top-k, top-p, min-p cut off the tail; the last two adapt to how sure the model is.
# - The best temperature depends on what it is for. Measure.
#
# ## Exercises
#
# 1. Show that T = 0.5 squares the probabilities.
# 2. What does top-k with k = 1 do, whatever the temperature?
# 3. At which temperature is the entropy (mean bits of a draw) of the distribution above twice that at T = 0.5?

# %% [markdown]
# ### Solutions

# %%
assert np.allclose(at_temperature(p, 0.5), p**2 / (p**2).sum())

# %%
assert all((top_k(at_temperature(p, t), 1) > 0).sum() == 1 for t in (0.2, 1, 2))  # greedy


# %%
def entropy(q: np.ndarray) -> float:
    """Return the mean bits of a draw."""
    return float(-(q[q > 0] * np.log2(q[q > 0])).sum())


wanted = 2 * entropy(at_temperature(p, 0.5))
t = next(t for t in np.arange(0.5, 5, 0.01) if entropy(at_temperature(p, t)) >= wanted)
print(f"{wanted / 2:.2f} bits at 0.5; twice that at T = {t:.2f}")
assert math.isclose(entropy(at_temperature(p, t)), wanted, rel_tol=0.05)

# %% [markdown]
# Next: [6. Your own text](6_your_own_text.ipynb)

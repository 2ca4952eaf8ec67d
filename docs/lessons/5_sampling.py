# %% [markdown]
# # 5. Choosing the next letter, and where to stop
#
# A model gives a probability to every character. One of them must be chosen, and then the next, and at some point the
# text must end. The same model writes dull or wild text, broken sentences or whole ones, depending on these choices
# alone. The first choice is called *decoding* or *sampling*.
#
# **In this part:** greedy, temperature, top-k, top-p and min-p, each in one line; how good the texts are that each of
# them writes; how to choose among many texts, where to cut one, and what a *stock phrase* is. We use `levantine`, the
# model of the package. Nothing is trained here.

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
# The prompt below means "what do you think, shall we go up to the ...". What comes next? `levantine.after` reads a
# prompt and returns the logarithm of the probability of each character. (`normalise` first writes characters that mean
# the same in one way, as the model learnt them.)


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
print(len(p), "of the model's", levantine.vocabulary.size, "symbols may follow; blank, unknown and beginning never do")
print("(its V is not that of part 4: it is another model, with characters of its own)")
print("the first is", letters[0], "with", lesson.percent(float(p[0])))
print(f"random (1/V): {lesson.percent(1 / len(p))} each")

# %% [markdown]
# *Greedy* decoding always takes the first. For **one** character it is the best guess. For a whole text it is not, as
# you will see.
#
# ## Temperature
#
# ```text
#                   p_i ^ (1 / T)
# p_i at T  =  ---------------------------
#              sum over all j: p_j ^ (1 / T)
# ```
#
# Each probability is raised to the power 1/T. Then all are divided by their sum, so that they add up to 1 again.
#
# - T = 1 changes nothing.
# - T below 1 makes the rich richer: at T = 0.5 all probabilities are squared. Near T = 0 only the first is left:
#   greedy.
# - T above 1 makes all more equal. The larger T, the nearer all come to the same probability, 1/V.
#
# T = 0 itself would divide by zero, so a program takes the first character there, without the formula.
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
assert np.allclose(mine, its)  # as the library has it
assert at_temperature(p, 0.5)[0] > p[0] > at_temperature(p, 1.5)[0]

# %% [markdown]
# Look at "all others" at T = 1.5. Each of them is improbable, but they are many, and together they are drawn often. One
# absurd letter spoils a word.
#
# > **Guess first.** Take the most improbable characters, which have the last hundredth of the probability between them.
# > A text of 30 characters is drawn at places like this one. How often does it hold one of them?

# %%
tail = np.cumsum(p) - p > 0.99  # the more probable ones hold 99 hundredths already
for t in TEMPERATURES:
    drawn = float(at_temperature(p, t)[tail].sum())
    lesson.say(
        f"T = {t:g}: the {tail.sum()} characters of the tail are drawn at {100 * drawn:.2f} % of the places, and "
        f"{100 * (1 - (1 - drawn) ** TARGET):.2f} % of the texts hold at least one of them."
    )

# %% [markdown]
# So the *tail* of improbable characters is cut off, in one of three ways.
#
# ## Three ways to cut the tail
#
# - **top-k** keeps the k most probable characters.
# - **top-p** keeps the most probable ones until they hold the share p together.
# - **min-p** keeps those that have at least this share of the first one's probability.
#
# The rest is divided by its sum again, so that it adds up to 1. Before that, each is one line:


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
# The three differ in how they treat a place where the model is *sure* and one where it is not. In the middle of a word
# one letter may have nearly all of the probability; at the beginning of a word many letters are fine.
#
# > **Guess first.** Take top-k 5, top-p 0.9 and min-p 0.1 at a sure place and at an unsure one. How many characters
# > does each keep?

# %%
places = {"sure": "صباح الخي", "unsure": prompt}
kept = {
    name: [int((f > 0).sum()) for f in (top_k(q, 5), top_p(q, 0.9), min_p(q, 0.1))]
    for name, q in ((name, next_letters(text)[1]) for name, text in places.items())
}
lesson.table(
    ("place", "prompt", "first letter has", "top-k 5 keeps", "top-p 0.9 keeps", "min-p 0.1 keeps"),
    *((name, text, lesson.percent(float(next_letters(text)[1][0])), *kept[name]) for name, text in places.items()),
)
assert kept["sure"][0] == kept["unsure"][0] == 5  # top-k keeps five, whatever the place
assert kept["sure"][1] < kept["unsure"][1]  # the other two adapt
assert kept["sure"][2] < kept["unsure"][2]

# %% [markdown]
# top-k keeps the same number whatever the place. The other two adapt. Whether that makes better texts is another
# question; the table of all ways answers it below.
#
# ## Try it
#
# This figure needs nothing but a browser. Move the sliders. (Temperature comes first, then top-k, top-p and min-p.)
# The last line says how many bits the draw is worth: its mean surprise (exercise 3).

# %%
lesson.display(lesson.Sliders(prompt, letters[:60], p[:60] / p[:60].sum()))

# %% [markdown]
# ## Five examples with the truth
#
# The notebook shows five: a half, what the person wrote, and what the model writes at several temperatures. Here are
# five of ours. You need no Arabic: the last two columns count. A word is *said before* if it stands in the half or
# earlier in the text. A word is *new* if nobody has written it in the training part. (A last word may be cut, so it is
# not counted.)
#
# > **Guess first.** Which row will have the most new words, and which the most words that were said before?

# %%
WORD = r"[^\W\d_]{2,}"  # \w is a letter, a digit or _; so this is two or more that are \w, no digit and no _
known = {word for post in train for word in re.findall(WORD, post)}


def complete(half: str, t: float, seed: int = 1) -> str:
    """Write 30 characters after a half."""
    return levantine.complete(half, length=TARGET, temperature=t, seed=seed).text


def looked_at(half: str, text: str) -> tuple[int, int]:
    """Return how many words of a text were said before, and how many are new."""
    before, words = re.findall(WORD, half)[:-1], re.findall(WORD, text)[1:-1]
    said = sum(word in before or word in words[:i] for i, word in enumerate(words))
    return said, sum(word not in known for word in words)


for post in test[:5]:
    half, truth = post[: len(post) // 2], post[len(post) // 2 :][:TARGET]
    written = {"the person": truth, "greedy": complete(half, 0)}
    written |= {f"T = {t:g}": complete(half, t) for t in TEMPERATURES}
    lesson.table(
        ("", "half of a post", "said before", "new"),
        ("given", half, "", ""),
        *((name, text, *looked_at(half, text)) for name, text in written.items()),
    )


def shares(texts: list[str]) -> tuple[float, float]:
    """Return the share of words said before and of new words in a text for each test post."""
    words = sum(len(re.findall(WORD, text)[1:-1]) for text in texts)
    found = [looked_at(half, text) for half, text in zip(halves, texts, strict=True)]
    said, new = np.sum(found, axis=0) / max(1, words)
    return float(said), float(new)


halves = [post[: len(post) // 2] for post in test]
truth = [post[len(post) // 2 :][:TARGET] for post in test]
chance = np.random.default_rng(0)
alphabet = sorted(set("".join(train)))
by_chance = [["".join(chance.choice(alphabet, TARGET)) for _ in test] for _ in range(5)]
counted = {
    "greedy": shares([complete(half, 0) for half in halves]),
    "T = 1.5": shares([complete(half, 1.5) for half in halves]),
    "the people": shares(truth),
    "random (1/V)": shares(by_chance[0]),
}
lesson.table(
    (f"all {len(test)} test posts", "words said before", "new words"),
    *((name, *map(lesson.percent, both)) for name, both in counted.items()),
)
lesson.claim(
    counted["greedy"][0] > 2 * counted["the people"][0] > 2 * counted["T = 1.5"][0],
    "greedy texts repeat more than twice as much as people do, and those at T = 1.5 less",
)
lesson.claim(
    counted["T = 1.5"][1] > counted["the people"][1] + 0.1 > counted["greedy"][1] + 0.1,
    "texts at T = 1.5 invent more words than people do, and greedy ones fewer",
)

# %% [markdown]
# Five examples prove nothing, so the last table counts all test posts. Greedy texts repeat more than people do;
# wild ones invent more than people do. (Where a text is shorter than 30 characters, the model has said *end*.)
#
# ## Which way for what? Measure
#
# There is no best way, there is one for a purpose. So we take several measures, on all test posts. Five texts are
# written for each half, and each figure is the mean of the five:
#
# - **right in place**: the notebook's accuracy, for a text that the model wrote;
# - **first word**: the first word after the half, or the rest of a begun one, is the person's;
# - **one in five**: in at least one of the five texts the first word is the person's. This is a keyboard that offers
#   five suggestions;
# - **existing words**: the share of words that somebody has written in the training part;
# - **different**: of the runs of four characters that were written, the share that are distinct. We draw equally many
#   for each way, since among more runs more are repeated. People repeat themselves a little, bad decoding a lot;
# - **chrF**: the share of short pieces of the person's text that occur anywhere in the written one. (Part 7 says more.)
#
# > **Guess first.** Which temperature wins "first word"? And "one in five"? Are the filters better than a lower
# > temperature?

# %%
WAYS = {
    "greedy": {"temperature": 0},
    "T = 0.5": {"temperature": 0.5},
    "T = 0.7": {"temperature": 0.7},
    "T = 1": {"temperature": 1},
    "T = 1.5": {"temperature": 1.5},
    "T = 1, top-k 5": {"temperature": 1, "top_k": 5},
    "T = 1, top-p 0.9": {"temperature": 1, "top_p": 0.9},
    "T = 1, min-p 0.1": {"temperature": 1, "min_p": 0.1},
    "T = 1.5, min-p 0.1": {"temperature": 1.5, "min_p": 0.1},
}


def first_word(text: str) -> str:
    """Return the first piece of a text up to the next space; the piece may be the end of a begun word."""
    return text[1:].split(" ", maxsplit=1)[0] if text[:1] == " " else text.split(" ", maxsplit=1)[0]


def runs(texts: list[str]) -> list[str]:
    """Return the runs of four characters in texts."""
    return [text[i : i + 4] for text in texts for i in range(len(text) - 3)]


def measures(texts: list[str]) -> list[float]:
    """Return five measures of one text for each test post."""
    words = [word for text in texts for word in re.findall(WORD, text)[:-1]]
    grams = random.Random(0).sample(runs(texts), RUNS)
    placed = sum(a == b for text, true in zip(texts, truth, strict=True) for a, b in zip(text, true, strict=False))
    return [
        placed / sum(map(len, truth)),
        float(np.mean([first_word(a) == first_word(b) for a, b in zip(texts, truth, strict=True)])),
        sum(word in known for word in words) / max(1, len(words)),
        len(set(grams)) / RUNS,
        float(chrf(chrf_columns(texts, truth).sum(0, keepdims=True))[0]) / 100,
    ]


def five_of_each(options: dict[str, float]) -> list[list[str]]:
    """Return five lists of texts; each list has one text for each half."""
    drawn = [levantine.samples(half, 5, length=TARGET, seed=i, **options) for i, half in enumerate(halves)]
    return [[five[k].text for five in drawn] for k in range(5)]


texts = {name: five_of_each(options) for name, options in WAYS.items()}
texts["the people"] = [truth] * 5
texts["random (1/V)"] = by_chance
RUNS = min(2000, *(len(runs(one)) for five in texts.values() for one in five))
scores = {name: np.array([measures(one) for one in five]) for name, five in texts.items()}  # (5, measures)
first_right = {  # (posts, 5) for each way: is the first word the person's?
    name: np.array([[first_word(a) == first_word(b) for a, b in zip(one, truth, strict=True)] for one in five]).T
    for name, five in texts.items()
}
one_in_five = {name: float(right.any(1).mean()) for name, right in first_right.items()}
PLACED, FIRST, EXISTING, DIFFERENT, CHRF = range(5)
heads = ("right in place", "first word", "existing words", "different", "chrF")
lesson.table(
    ("way", *heads, "one in five"),
    *(
        (name, *(f"{100 * x:.1f}" for x in rows.mean(0)), f"{100 * one_in_five[name]:.1f}")
        for name, rows in scores.items()
    ),
    note=f"{len(test)} test posts; all in per cent; different: of {RUNS} runs.",
)

# %% [markdown]
# Two of the columns pull against each other: careful texts hold words that exist, and repeat themselves. So draw one
# against the other. Each small dot is one of the five lists of texts, so their spread shows how much is chance.

# %%
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
temperatures = [name for name in WAYS if "," not in name]
means = {name: 100 * rows.mean(0)[[DIFFERENT, EXISTING]] for name, rows in scores.items()}
axes.plot(*np.array([means[name] for name in temperatures]).T, "-", color="grey", linewidth=1, zorder=1)
for name in [*WAYS, "the people"]:
    marker = "*" if name == "the people" else "o" if name in temperatures else "s"
    (line,) = axes.plot(*means[name], marker, markersize=13 if marker == "*" else 7, linestyle="", label=name)
    axes.plot(*(100 * scores[name][:, [DIFFERENT, EXISTING]]).T, ".", color=line.get_color(), markersize=3)
axes.set_xlabel("different runs of four characters, %")
axes.set_ylabel("existing words, %")
axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
lesson.show(figure)


# %%
def above_the_line(name: str) -> np.ndarray:
    """Return how many points more existing words each of the five lists has than a temperature that varies as much."""
    line = np.array(sorted(means[each].tolist() for each in temperatures))
    dots = 100 * scores[name][:, [DIFFERENT, EXISTING]]
    return dots[:, 1] - np.interp(dots[:, 0], *line.T)


def best_and_rest(of_posts: dict[str, np.ndarray]) -> tuple[str, list[str]]:
    """Return the way with the largest mean, and the ways that are behind it by more than chance."""
    best = max(of_posts, key=lambda name: of_posts[name].mean())
    gaps = {name: of_posts[best] - one for name, one in of_posts.items() if name != best}  # (posts,) each
    return best, [name for name, gap in gaps.items() if gap.mean() > 2 * gap.std() / math.sqrt(len(gap))]


best_word, worse_word = best_and_rest({name: first_right[name].mean(1) for name in WAYS})
best_five, worse_five = best_and_rest({name: first_right[name].any(1).astype(float) for name in WAYS})
nearest = min(WAYS, key=lambda name: float(np.hypot(*(means[name] - means["the people"]))))
lesson.table(
    ("purpose", "way", "worse by more than chance"),
    ("one suggestion that should be right: most first words", best_word, "; ".join(worse_word)),
    ("five suggestions: most often one of them right", best_five, "; ".join(worse_five)),
    ("a text as varied, with as many existing words, as people's: nearest to the star", nearest, "not tested"),
)
filtered = {name: above_the_line(name) for name in WAYS if "," in name}
lesson.table(
    ("filter", "existing words, in points above the line of the temperatures", "the five dots", "all on one side"),
    *(
        (name, f"{dots.mean():+.1f}", f"{dots.min():+.1f} to {dots.max():+.1f}", "yes" if one_side else "no")
        for name, dots in filtered.items()
        for one_side in [len(set(np.sign(dots))) == 1]
    ),
)
for name in ("T = 1, top-k 5", "T = 1, top-p 0.9", "T = 1, min-p 0.1"):
    lesson.claim(
        scores[name][:, EXISTING].mean() > scores["T = 1"][:, EXISTING].mean()  # no tail, fewer absurd words
        and scores[name][:, DIFFERENT].mean() < scores["T = 1"][:, DIFFERENT].mean(),
        f"with {name} more words exist than at T = 1, and fewer runs are different",
    )
lesson.claim(
    scores["T = 1.5, min-p 0.1"][:, EXISTING].mean() > scores["T = 1.5"][:, EXISTING].mean(),
    "min-p makes more words exist at T = 1.5",
)
lesson.claim(scores["greedy"][:, DIFFERENT].mean() < scores["T = 1"][:, DIFFERENT].mean(), "greedy texts repeat more")
lesson.claim(scores["T = 1.5"][:, EXISTING].mean() < scores["T = 0.7"][:, EXISTING].mean(), "at T = 1.5 words break")
lesson.claim(
    scores["greedy"][:, FIRST].mean() > scores["T = 1.5"][:, FIRST].mean(), "greedy has more first words than T = 1.5"
)
lesson.claim(
    "greedy" in worse_five and "T = 1.5" in worse_word,
    "for one suggestion T = 1.5 is worse by more than chance, and for five it is greedy",
)

# %% [markdown]
# Read the tables with the purpose in mind. The best of many may owe its place to chance. So the last column names the
# ways that are behind by more than chance: the mean difference of the posts is more than twice as large as it wobbles,
# which is their spread divided by the root of their number. (Part 7 makes that an interval.)
#
# - **One suggestion that should be right**: a low temperature, or a filter.
# - **Several suggestions, or a draft to choose from**: not greedy. Five greedy texts are one and the same text, and
#   four of them are wasted. Of the others only those in the last column are worse; the rest of the order may be chance.
# - **A text like a person's**: the first table names the way that comes nearest to the star.
# - **A filter** does what a lower temperature does: more words exist, fewer runs are different. The second table says
#   whether it does more than that. Where the five dots are not on one side of the line, that may be chance.
# - **T = 1.5 without a filter**: for fun. Words break.
#
# All of this was measured with texts of 30 characters by one model. For yours, run the cells again with it.

# %% [markdown]
# ## Where does a thought end?
#
# So far a text ended after 30 characters, wherever that was, unless the model said *end* before. A sentence that is
# broken off helps nobody, however good its letters are.
#
# > **Guess first.** We draw one text at temperature 0.7 for each half. How many of them does the limit break off? How
# > many say a word twice?

# %%
END_MARKS, SENTENCE_MARKS = ".!?؟…،؛", ".!?؟…"  # a comma ends a clause and is left out; the others stay


def words_in(text: str) -> list[str]:
    """Return the words of three letters or more."""
    return re.findall(r"\w{3,}", text)  # three or more letters or digits in a row


def repeats(half: str, text: str) -> bool:
    """Return whether a text says a word that it, or the end of its half, has said before."""
    said = words_in(half[-40:] + text)
    return any(said.count(word) > 1 for word in words_in(half[-40:] + text)[len(words_in(half[-40:])) :])


draws = [levantine.complete(half, length=TARGET, temperature=0.7, seed=i) for i, half in enumerate(halves)]
lesson.table(
    ("one draw at temperature 0.7", "of all test posts"),
    ("broken off by the limit", lesson.percent(float(np.mean([d.finish_reason == "length" for d in draws])))),
    (
        "says a word twice",
        lesson.percent(float(np.mean([repeats(h, d.text) for h, d in zip(halves, draws, strict=True)]))),
    ),
)

# %% [markdown]
# Two ideas mend this.
#
# 1. **Cut** a text where its first clause ends: behind a full stop, a question mark, an exclamation mark, or before a
#    comma. It must hold a whole new word by then.
# 2. **Choose.** Draw many texts, leave out those that end nowhere and those that say a word twice, and keep the one
#    that costs the fewest bits per character. (A character with probability 1/2 costs one bit, one with 1/4 two bits;
#    part 6 says more.)


# %%
def first_clause(half: str, text: str) -> str | None:
    """Return a text up to the end of its first clause with a whole new word; None if no clause ends."""
    begun = half[-1:].isalnum()  # then the text begins with the rest of a word, which is not a new one
    for i, character in enumerate(text):
        new = re.findall(r"\w{2,}", text[:i])[1 if begun and text[:1].isalnum() else 0 :]  # of two letters or more
        if character in END_MARKS and new:
            return text[: i + (character in SENTENCE_MARKS)]
    return None


def candidates(half: str, drafts: list[kammil.Completion]) -> list[tuple[float, str]]:
    """Return (bits per character, text) of the drafts that end and say no word twice, cut."""
    found = []
    for draft in drafts:
        text = first_clause(half, draft.text)
        if text is None and draft.finish_reason == "end":
            text = draft.text
        if text and " " in text.strip() and not repeats(half, text):
            cost = sum(draft.bits[: len(text)]) / len(text)
            found.append((draft.mean_bits if text == draft.text else cost, text))  # the model's own end costs bits, too
    return found


def choose(half: str, drafts: list[kammil.Completion]) -> str:
    """Return the cheapest candidate."""
    return min(candidates(half, drafts), default=(0.0, ""))[1]


some = ([half for half in halves if not re.search("[a-zA-Z]", half)] or halves)[:30]  # no Latin letters
drafts = [levantine.samples(half, 64, length=TARGET, temperature=0.7, seed=i) for i, half in enumerate(some)]
chosen = [choose(half, of) for half, of in zip(some, drafts, strict=True)]
for half, of, text in list(zip(some, drafts, chosen, strict=True))[:4]:
    lesson.table(("", "text"), ("given", half), ("the first draw", of[0].text), ("the best of 64, cut", text))

# %% [markdown]
# ## Stock phrases: ends that were written beforehand
#
# A small model loses the thread. A message that was written as a whole keeps it. So there is a third idea: look for a
# message in which the last word of the prompt occurs, and take the rest of its clause. Many messages may have that
# word; take the one whose words before that place are most like the prompt's. *Likeness* is the number of words that
# both have, divided by the number of words that at least one of them has. (It is called the *Jaccard similarity*.)


# %%
def phrase_after(prompt: str, messages: list[str]) -> tuple[float, str]:
    """Return (likeness, rest of the clause) of the message that is most like a prompt; the prompt ends with a space."""
    *before, last = re.findall(r"\w+", prompt)
    best = (0.0, "")
    for message in messages:
        # \b: here a word begins; then the last word, a space, and (...) up to the next end mark, which is found[1]
        for found in re.finditer(rf"\b{last} (\w[^{re.escape(END_MARKS)}]*)", message):
            words = re.findall(r"\w+", message[: found.start()])
            likeness = len({*before} & {*words}) / max(1, len({*before} | {*words}))
            best = max(best, (likeness, found[1].strip()))
    return best


begun = ["شو رأيكم نطلع ", "مين بيعرف ", "اليوم ما في ", "بكرا رح "]
found = [(each, *phrase_after(each, train), levantine.complete(each, preset="sensible")) for each in begun]
lesson.table(
    ("prompt", "from our training posts", "likeness", "the package's phrases", "is it one?"),
    *((each, ours, f"{like:.2f}", done.text, "yes" if done.stock else "") for each, like, ours, done in found),
)
assert all(any(ours in post for post in train) for _, _, ours, _ in found)  # it stands in a post

# %% [markdown]
# The package has many more messages than our training posts, all written for this project. A phrase is offered where
# it is *sure* enough: alike, and cheap for the model. `Completion.stock` says that a text is one. It is no thought of
# the model.
#
# `kammil complete` does all three things: it draws many, cuts and chooses, and takes a stock phrase where one is surer.
# Its settings have a name, the preset **sensible**. In Python, `complete` draws once unless you ask for it. It differs
# from our lines in details. The limit cuts its drafts behind a whole word. A draft that breaks a rule is taken where
# there is no other. Stock phrases and drafts compete by one number: bits, likeness and *theme* (what the whole text is
# about) together.


# %%
def by_preset(**options: object) -> list[kammil.Completion]:
    """Complete some halves with the preset `sensible`."""
    return [levantine.complete(half, preset="sensible", seed=i, **options) for i, half in enumerate(some)]


sensible = by_preset()
which = {
    "one draw": [of[0].text for of in drafts],
    "the best of 64, cut: our code": chosen,
    "sensible without stock phrases": [done.text for done in by_preset(stock_phrases=False)],
    "sensible": [done.text for done in sensible],
}


def twice(texts: list[str], halves: list[str] = some) -> float:
    """Return the share of texts that say a word twice."""
    return float(np.mean([repeats(half, text) for half, text in zip(halves, texts, strict=True)]))


all_draws = [draft.text for of in drafts for draft in of]  # 64 for each half: one alone is too few to count
drawn_twice = twice(all_draws, [half for half in some for _ in range(64)])
lesson.table(
    ("way", "characters", "says a word twice"),
    ("one draw: mean of the 64", f"{np.mean([*map(len, all_draws)]):.0f}", lesson.percent(drawn_twice)),
    *(
        (name, f"{np.mean([*map(len, of)]):.0f}", lesson.percent(twice(of)))
        for name, of in which.items()
        if name != "one draw"
    ),
    note=f"{len(some)} test posts, not all as above; "
    f"{sum(done.stock for done in sensible)} texts of the last row are stock phrases.",
)
lesson.claim(twice(which["sensible"]) < drawn_twice, "the preset says fewer words twice than one draw does")
lesson.claim(any(done.stock for done in sensible), "some texts of the preset are stock phrases")
alike = np.mean([a == b for a, b in zip(chosen, which["sensible without stock phrases"], strict=True)])
lesson.say(
    f"Our few lines choose the very text of the preset without stock phrases in {lesson.percent(alike)} of posts."
)
lesson.claim(alike > 0.3, "our few lines often choose the text of the preset")

# %% [markdown]
# ## Does it make sense? Ask readers
#
# Shorter, and hardly a word twice: a program can count that. Whether a text makes sense, only a reader can say. Two
# readers who did not know which way had written a text graded completions of two hundred prompts of daily life; here
# the readers were large language models. A text "makes sense" in the table if *both* gave it the highest grade. The
# cell also prints how far the two agree: *kappa* is 1 where they always do and 0 where they agree by chance alone.
#
# > **Guess first.** What share of texts makes sense without a cut, and what share with everything?

# %%
graded = lesson.benchmark("sense")
arms = {
    "the best of 64, not cut": "uncut",
    "the same text, cut": "cut",
    "the best of 64 that end with a clause": "rule",
    "sensible: with stock phrases, too": "sensible",
}
sense = {name: graded["arms"][f"levantine-open {arm}"] for name, arm in arms.items()}  # the model's name at that time
alone = "a stock phrase, where one is sure"
sense[alone] = graded["arms"]["levantine-open offered"]
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.barh([*sense], [row["sense"] for row in sense.values()], label="makes sense to both")
axes.barh([*sense], [-row["none"] for row in sense.values()], color="lightgrey", label="makes none to either")
axes.invert_yaxis()
axes.axvline(0, color="black", linewidth=0.8)
axes.set_xticks(range(-40, 81, 20), [f"{abs(x)}" for x in range(-40, 81, 20)])
axes.set_xlabel("% of the prompts")
axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
lesson.show(figure)
lesson.table(
    ("way", "texts", "makes sense to both, %", "makes none to either, %", "median characters"),
    *(
        (name, row["texts"], f"{row['sense']:.1f}", f"{row['none']:.1f}", row["characters"])
        for name, row in sense.items()
    ),
    note=f"kappa of the two readers: {graded['kappa']:.2f}",
)
steps = np.diff([sense[name]["sense"] for name in arms])
assert (steps > 0).all()  # each step makes more sense than the one before
assert steps.argmax() == len(steps) - 1  # and the last one is the largest
assert sense["sensible: with stock phrases, too"]["sense"] < 50
assert sense[alone]["texts"] < sense["sensible: with stock phrases, too"]["texts"]

# %% [markdown]
# The first four rows are of the same prompts. Each step helps, and the largest one is not the model's merit: ends of
# whole messages take the place of what a small model draws. (The last row is only of the prompts where a phrase is
# sure, so do not compare it with the others.) And still more than half of the texts of `sensible` do not make sense to
# both readers.
#
# If you read Arabic, be a reader yourself. The next cell shows texts of two ways in a random order. Write down 2 (makes
# sense), 1 (partly) or 0 for each *before* you run the cell after it.

# %%
pairs = [
    (half, way, text)
    for i, half in enumerate(some[:8])
    for way, text in (("one draw", which["one draw"][i]), ("sensible", which["sensible"][i]))
]
random.Random(0).shuffle(pairs)
lesson.table(
    ("number", "half, its end", "text"), *((i, "… " + half[-24:], text) for i, (half, _, text) in enumerate(pairs, 1))
)

# %%
print("drawn once:", *(i for i, (_, way, _) in enumerate(pairs, 1) if way == "one draw"))
print("sensible:  ", *(i for i, (_, way, _) in enumerate(pairs, 1) if way == "sensible"))

# %% [markdown]
# ## What to keep
#
# - Greedy: always the first. For one word a good choice; a text of it repeats itself.
# - Temperature: p to the power 1/T. Below 1 safer, above 1 wilder.
# - top-k, top-p, min-p cut off the tail; the last two adapt to how sure the model is.
# - The best setting depends on what it is for. Measure.
# - A thought has an end. Draw many, keep those that end, choose the cheapest: more of them make sense.
# - A stock phrase is no thought of the model. Say so where you show one.
#
# ## Exercises
#
# Write an answer in place of `...` and run the cell. It says whether the answer is right.
#
# 1. The distribution `p` at T = 0.5, without a power of 1/T: only multiply and divide.
# 2. A keyboard offers three texts, not one. A function `three(half, drafts)` that returns up to three texts of
#    `candidates(half, drafts)`: the cheapest first, and each begins with another `first_word`.
# 3. The *entropy* of a distribution is the mean surprise of a draw, in bits: the sum of p times -log2(p) over all
#    characters whose p is not 0. Write it as a function. (Four characters with 1/4 each: 2 bits.)
# 4. A function `cut(text)` that returns a text without its last word, because the limit may have broken that word off.
#    A text of one word stays as it is.

# %%
answer_1 = ...
lesson.check(answer_1, lambda q: np.allclose(q, at_temperature(p, 0.5)), "what is 1/T, and does it add up to 1?")

# %%
answer_2 = ...


def offers_three(three: object) -> bool:
    """Try the drafts of all our halves: three texts where there are as many first words, and none cheaper left out."""
    for half, of in zip(some, drafts, strict=True):
        found, chosen_three = candidates(half, of), three(half, of)  # type: ignore[operator]
        costs = [min(bits for bits, text in found if text == each) for each in chosen_three]
        firsts = {first_word(each) for each in chosen_three}
        left = [bits for bits, text in found if first_word(text) not in firsts]
        enough = len(firsts) == min(3, len({first_word(text) for _, text in found}))
        if (
            len(costs) != len(firsts)
            or not enough
            or costs != sorted(costs)
            or min(left, default=99) < max(costs, default=0)
        ):
            return False
    return True


lesson.check(answer_2, offers_three, "sort the candidates, go through them, and remember the first words")

# %%
answer_3 = ...
lesson.check(
    answer_3,
    lambda entropy: np.allclose([entropy(np.full(4, 0.25)), entropy(np.array([1.0, 0.0]))], [2, 0]),
    "leave out the zeros: log2(0) is minus infinity",
)

# %%
answer_4 = ...
lesson.check(
    answer_4,
    lambda cut: [cut("one two thr"), cut("one")] == ["one two", "one"],
    "look for the last space",
)

# %% [markdown]
# The answers stand in [a file of their own](solutions/5_sampling.py).
#
# Next: [6. Your own text](6_your_own_text.ipynb)

# %% [markdown]
# # 6. Your own text
#
# Now you write, and the model reads what you write. It says what comes next, how sure it is, and what surprised it.
#
# **In this part:** complete your own text, see its probabilities, check whether they can be believed (*calibration*),
# type with ghost text, and teach the model a word of yours.

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
import sys

import matplotlib.pyplot as plt
import numpy as np

import kammil

model = kammil.load()
train, test = lesson.split([post for post in lesson.posts() if len(post) >= 60])
V = model.vocabulary.size

# %% [markdown]
# ## Complete it
#
# Change the text below to one of yours and run the cell again. (In a terminal: `kammil complete "..."`.)

# %%
mine = "اليوم رحنا على البحر و"
lesson.table(
    ("what", "answer"),
    ("most probable next words", "، ".join(word.text for word in model.suggest(mine, k=3))),
    *(
        (f"30 letters, seed {seed}", model.complete(mine, length=30, temperature=0.7, seed=seed).text)
        for seed in range(3)
    ),
    note=mine,
)

# %% [markdown]
# ## With its probabilities
#
# Every letter that you type had a probability before you typed it. Its surprise is minus log2 of that, in bits: a
# letter with 50 % costs 1 bit, one with 25 % costs 2. The sum over a text says how odd the text is to the model.
#
# > **Guess first.** Same letters, other order: how many times as many bits does each character cost when the text is
# > read backwards?

# %%
sentence = "صباح الخير كيفك اليوم"
chance = np.random.default_rng(0)
alphabet = sorted(set("".join(train)))
random_text = "".join(chance.choice(alphabet, len(sentence)))
costs = {
    name: model.score(text).bits_per_character
    for name, text in (
        ("a greeting", sentence),
        ("the same, backwards", sentence[::-1]),
        ("random letters", random_text),
    )
}
lesson.table(
    ("text", "bits per character", "like choosing among ... letters"),
    *((name, f"{bits:.2f}", f"{2**bits:.1f}") for name, bits in costs.items()),
    ("a model that guesses blindly (1/V)", f"{math.log2(V):.2f}", V),
)
assert costs["a greeting"] < costs["the same, backwards"] < costs["random letters"]

# %% [markdown]
# Backwards, a character costs more than four times as many bits.
#
# The last column is 2 to the power of the bits. It is called **perplexity**: a model with perplexity 3 is as unsure
# as if it chose among 3 equally good letters each time.
#
# Note that random letters cost *more* than blind guessing: a model that is sure of something pays dearly when it is
# wrong.
#
# Letter by letter:

# %%
explained = kammil.explain(model, sentence)
figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
axes.bar(range(len(explained.places)), [place.bits for place in explained.places])
axes.set_xticks(
    range(len(explained.places)), [lesson.letter(place.text) or "end" for place in explained.places], fontsize=11
)
axes.tick_params(axis="x", labelrotation=0)
for label in axes.get_xticklabels():
    if len(label.get_text()) > 1:
        label.set_fontsize(7)
axes.set_ylabel("bits")
axes.axhline(math.log2(V), color="grey", linestyle=":", label="blind guess: log2 V")
axes.legend(fontsize=8)
axes.invert_xaxis()
lesson.show(figure)

# %% [markdown]
# (Read it from the right.) The beginning of a word seems to be a surprise, and its end is not. One sentence proves
# nothing, so we look at all words of four letters or more in a hundred test posts.
#
# > **Guess first.** How many bits does a first letter cost, and how many a fourth?

# %%
import re

by_place: list[list[float]] = [[], [], [], []]
for post in test[:100]:
    seen = model.normalise(post)
    bits = model.score(seen).bits
    for word in re.finditer(r"[^\W\d_]{4,}", seen):
        for place in range(4):
            by_place[place].append(bits[word.start() + place])
mean_bits = [float(np.mean(values)) for values in by_place]
lesson.table(
    ("letter of the word", "bits"),
    *((name, f"{bits:.2f}") for name, bits in zip(("first", "second", "third", "fourth"), mean_bits, strict=True)),
    ("random (1/V)", f"{math.log2(V):.2f}"),
)
assert mean_bits[0] > mean_bits[3] + 0.5

# %% [markdown]
# That is the reason why a model of letters can finish words for you: the more of a word you have typed, the surer the
# model is which word it will be.
#
# ## How far back does it look?
#
# A coherent text keeps to its subject: what stands at the beginning matters at the end. Does it matter to the model?
# We ask for the 30 characters after the middle of each post, and hide the first half, all but its last few letters.
# (The 30 themselves are read one after the other, as always; so a row that says 1 sees 1 to 30 letters.)
#
# > **Guess first.** The model sees only the last 12 letters in place of the whole half (some 45). How many bits more
# > does each character cost?

# %%
halves = [(seen[: len(seen) // 2], seen[len(seen) // 2 :][:30]) for seen in map(model.normalise, test)]
context = {}
for kept in (1, 3, 6, 12, 25, 1000):
    cost = [sum(model.score(target, given=half[-kept:]).bits[:-1]) for half, target in halves]
    context[kept] = sum(cost) / sum(len(target) for _, target in halves)
lesson.table(
    ("letters that it may see", "bits per character of the next 30"),
    *(("the whole half" if kept == 1000 else kept, f"{bits:.2f}") for kept, bits in context.items()),
    ("random (1/V)", f"{math.log2(V):.2f}"),
)
assert context[12] - context[1000] < context[1] - context[12]

# %% [markdown]
# Read the table from the bottom. To hide all but the last 25 letters costs next to nothing: whatever the post was
# about at its beginning, the model expects the same. The last 25 letters do nearly all the work. That is the reason
# why its own texts are not **coherent**: each word fits the words just before it, and nothing holds the whole
# together. It is also the reason why it can be small and fast, and good enough to finish a word.
#
# ## What else was likely?
#
# `explain` keeps the alternatives (`kammil explain levantine "..." --html why.html` makes a page of it):
#
# > **Guess first.** The second letter has cost between two and three bits. How probable was it, and how probable its
# > nearest rival?

# %%
lesson.table(
    ("letter", "probability", "bits", "the three most probable"),
    *(
        (
            lesson.letter(place.text) or "end",
            lesson.percent(place.probability),
            f"{place.bits:.1f}",
            ", ".join(f"{lesson.letter(a.text) or 'end'} {100 * a.probability:.0f} %" for a in place.alternatives),
        )
        for place in explained.places[:8]
    ),
)

# %% [markdown]
# ## Can its probabilities be believed?
#
# If it says "60 %" a hundred times, is it right about sixty times? A model for which that holds is called
# **calibrated**. An accuracy cannot tell: it only asks which letter came first, not how sure the model was.
#
# We take every place of every test post, note the probability of the letter that the model thinks most probable, and
# whether it was right. Then we sort the places into ten bins by that probability.
#
# > **Guess first.** Networks are said to be too sure of themselves. Will the dots lie below the line?

# %%
from kammil.vocabulary import BOS, EOS

said, was_right = [], []
for post in test:
    ids = model.vocabulary.encode(model.normalise(post))
    read = np.concatenate([[BOS], ids])[None]
    log_p, _ = model.language_model.forward(read, model.language_model.initial_state(1))  # (1, T, V)
    said += np.exp(log_p[0].max(-1)).tolist()
    was_right += (log_p[0].argmax(-1) == np.append(ids, EOS)).tolist()
confidence, hit = np.array(said), np.array(was_right)


def bins(confidence: np.ndarray) -> list[tuple[float, float, int]]:
    """Return (mean probability, share that was right, places) of each of ten bins."""
    which = np.minimum((confidence * 10).astype(int), 9)
    return [
        (float(confidence[which == b].mean()), float(hit[which == b].mean()), int((which == b).sum()))
        for b in range(10)
        if (which == b).any()
    ]


def error(confidence: np.ndarray) -> float:
    """Return the expected calibration error: the mean distance between said and true, weighted by places."""
    return sum(n * abs(p - q) for p, q, n in bins(confidence)) / len(confidence)


boasting = np.minimum(confidence * 1.4, 1)  # the same choices, said with more confidence
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
axes.plot([0, 1], [0, 1], ":", color="grey", label="as often as said")
axes.plot(*np.array(bins(confidence))[:, :2].T, "o-", label=f"levantine, error {lesson.percent(error(confidence))}")
axes.plot(*np.array(bins(boasting))[:, :2].T, "s--", label=f"a boaster, error {lesson.percent(error(boasting))}")
axes.set_xlabel("probability that it says")
axes.set_ylabel("share that was right")
axes.legend(fontsize=8)
lesson.show(figure)
lesson.table(
    ("model", "right", "calibration error"),
    ("levantine", lesson.percent(float(hit.mean())), lesson.percent(error(confidence))),
    ("the boaster", lesson.percent(float(hit.mean())), lesson.percent(error(boasting))),
    ("random (1/V)", lesson.percent(1 / V), "0.0 %: it says 1/V and is right in 1/V"),
)
assert error(confidence) < error(boasting)

# %% [markdown]
# `levantine`'s dots lie on the line or just below it: when it says 60 %, it is right nearly 60 times in 100. Most of
# the boaster's dots lie far below. The boaster is right as often as `levantine`, since it makes the same choices; only
# its probabilities are worth less. And the die is perfectly calibrated, and useless. So calibration alone is not
# enough, and neither is accuracy. Bits per character see both: they rise when a model is wrong more often, and when it
# is surer than it should be.
#
# Calibration is what makes ghost text possible: whether to show a word is decided by its probability.
#
# ## Ghost text
#
# Ghost text is the grey end of the word that you have not typed yet, sometimes with the next word. It should stay away
# unless it saves more than reading it costs. Let us type a sentence, key by key, and accept the ghost whenever it is
# right.
#
# > **Guess first.** Of the keys of this sentence, what share does the ghost save?


# %%
def type_out(model: kammil.Completer, text: str, *, show: bool = False) -> int:
    """Type a text; where the ghost is right accept it with one key. Return the keys pressed."""
    session, typed, keys, rows = model.session(), "", 0, []
    while typed != text:
        session.update(typed)
        ghost = session.phrase().added
        keys += 1
        if ghost and text.startswith(typed + ghost):
            rows.append((typed, ghost, "accepted"))
            typed += ghost
        else:
            rows.append((typed, ghost, text[len(typed)].replace(" ", "space")))
            typed += text[len(typed)]
    if show:
        lesson.table(("typed", "ghost", "key"), *rows)
    return keys


keys = type_out(model, sentence, show=True)
print(f"{keys} keys for {len(sentence)} letters: {lesson.percent(1 - keys / len(sentence))} saved")

# %% [markdown]
# A greeting is easy. What about posts that the model has never seen?
#
# > **Guess first.** What share of the keys does the ghost save there?

# %%
some = test[:25]
pressed = sum(type_out(model, model.normalise(post)) for post in some)
letters = sum(len(model.normalise(post)) for post in some)
print(f"{len(some)} test posts: {lesson.percent(1 - pressed / letters)} of the keys saved by ghost text alone")
assert pressed < letters

# %% [markdown]
# It is a small saving: ghost text is shown seldom, since reading a wrong word takes time. A phone shows three words
# above the keyboard instead, always.
#
# > **Guess first.** And what share of the keys do three suggestions save?


# %%
def type_with_list(text: str, k: int = 3) -> int:
    """Type a text; where one of k suggestions is the word, take it and the space after it. Return the keys pressed."""
    session, typed, keys = model.session(), "", 0
    while typed != text:
        session.update(typed)
        taken = [
            s.added for s in session.suggest(k) if not s.replaces and (text + " ").startswith(typed + s.added + " ")
        ]
        typed = (typed + taken[0] + " ")[: len(text)] if taken else text[: len(typed) + 1]
        keys += 1
    return keys


with_list = sum(type_with_list(model.normalise(post)) for post in some)
lesson.table(
    ("help", "keys", "saved"),
    ("none", letters, lesson.percent(0)),
    ("ghost text", pressed, lesson.percent(1 - pressed / letters)),
    ("three suggestions", with_list, lesson.percent(1 - with_list / letters)),
)
assert with_list < pressed

# %% [markdown]
# A list saves many more keys. But this writer reads three words after every key, and that costs time, which the table
# does not show. (`kammil evaluate --typing` measures both kinds of help for your texts, and the words a minute.)
#
# ## Type in a terminal
#
# This loop reads a line, shows it with its ghost in brackets, and lets you accept it with Enter. It is all that a
# program needs. In a notebook nobody types, so here it is fed from a list; in a terminal leave `keyboard` out, and it
# asks you. `kammil type` is more comfortable: the ghost stands in grey behind the caret, and Tab takes it.


# %%
def terminal(keyboard: list[str] | None = None) -> str:
    """Type piece by piece: letters are appended, an empty line accepts the ghost, a dot ends."""
    session, text = model.session(), ""
    lines = iter(keyboard) if keyboard is not None else iter(sys.stdin.readline, "")
    for line in lines:
        piece = line.rstrip("\n")
        if piece == ".":
            break
        text += piece or session.phrase().added
        session.update(text)
        print(f"{text}[{session.phrase().added}]")
    return text


_ = terminal(["صب", "", " كيفك اليو", "", "."])

# %% [markdown]
# ## Teach it a word
#
# A model cannot know the name of your street. It can learn it, at once, without training: `learn` adds a text to its
# counts. (`kammil profile learn me.jsonl "..."` keeps it in a file of yours.)
#
# > **Guess first.** How many times must it read a new word before it suggests it?

# %%
begun = "رح نلتقى عند دوار الزر"
before = [word.text for word in model.suggest(begun, k=3)]
model.learn("نلتقى عند دوار الزرزورية الساعة سبعة")
after = [word.text for word in model.suggest(begun, k=3)]
model.forget("نلتقى عند دوار الزرزورية الساعة سبعة")
lesson.table(
    ("", "suggestions"), ("before", "، ".join(before)), ("after reading it once", "، ".join(after)), note=begun
)
assert "الزرزورية" in after
assert "الزرزورية" not in before
assert [word.text for word in model.suggest(begun, k=3)] == before  # it can forget, too

# %% [markdown]
# Once. A counter needs to read a word once; a network learns by many small steps (part 4). That is one reason why
# `levantine` is a *blend* of both (part 7).
#
# ## What to keep
#
# - Surprise in bits: minus log2 of the probability. Perplexity: 2 to the power of the mean bits.
# - The more of a word you have typed, the surer the model is which word it will be.
# - *Calibrated*: what it calls 60 % happens in 60 of 100 cases.
# - Ghost text is a decision by probability: is it worth reading?
#
# ## Exercises
#
# 1. Which letter of your own text surprised the model most?
# 2. Make the model calibrated and useless: say the share of spaces for "space", always. What is its calibration error?
# 3. Accept only ghosts whose probability is above one half (`phrase(threshold=0.5)`). Are more keys saved, or fewer?

# %% [markdown]
# ### Solutions

# %%
worst = max(kammil.explain(model, mine).places, key=lambda place: place.bits)
print(f"{lesson.letter(worst.text) or 'the end'}: {worst.bits:.1f} bits")

# %%
spaces = "".join(test).count(" ") / len("".join(test))
trained_spaces = "".join(train).count(" ") / len("".join(train))
distance = abs(spaces - trained_spaces)
print(f"says {lesson.percent(trained_spaces)}, true {lesson.percent(spaces)}: error {lesson.percent(distance)}")
assert abs(spaces - trained_spaces) < 0.02


# %%
def with_threshold(text: str, threshold: float) -> int:
    """Count the keys as `type_out` does, with ghosts from this probability on."""
    session, typed, keys = model.session(), "", 0
    while typed != text:
        session.update(typed)
        ghost = session.phrase(threshold=threshold).added
        keys += 1
        typed += ghost if ghost and text.startswith(typed + ghost) else text[len(typed)]
    return keys


few = [model.normalise(post) for post in test[:10]]
saved = {t: 1 - sum(with_threshold(text, t) for text in few) / sum(map(len, few)) for t in (0.3, 0.5, 0.8)}
print("keys saved by threshold:", {t: lesson.percent(share) for t, share in saved.items()})

# %% [markdown]
# Next: [7. What helps?](7_what_helps.ipynb)

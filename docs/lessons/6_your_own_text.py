# %% [markdown]
# # 6. Your own text
#
# Now you write, and the model reads what you write. It says what comes next, how sure it is, and what surprised it. And
# it learns from you while you type.
#
# **In this part:** complete your own text; surprise in bits and *perplexity*; whether a model's probabilities can be
# believed (*calibration*); ghost text and lists of words, counted in keys; and a model that learns a word from one
# reading.

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
import sys

import matplotlib.pyplot as plt
import numpy as np

import kammil
from kammil.vocabulary import BOS, EOS

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
# ## Surprise
#
# Every letter that you type had a probability before you typed it. Its **surprise** is minus log2 of that probability,
# in bits: a letter with 1/2 costs 1 bit, one with 1/4 costs 2, one with 1/8 costs 3. The sum over a text says how odd
# the text is to the model.
#
# > **Guess first.** A greeting is read forwards and backwards: the same letters in another order. How many times as
# > many bits does a character cost backwards?

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
    ("text", "bits per character", "2 to the power of the bits"),
    *((name, f"{bits:.2f}", f"{2**bits:,.1f}") for name, bits in costs.items()),
    ("a model that guesses blindly (1/V)", f"{math.log2(V):.2f}", V),
)
lesson.say(f"Backwards, a character costs {costs['the same, backwards'] / costs['a greeting']:.1f} times as many bits.")
assert costs["a greeting"] < costs["the same, backwards"]
lesson.claim(costs["the same, backwards"] < costs["random letters"], "random letters cost more than a text backwards")
lesson.claim(costs["random letters"] > math.log2(V), "random letters cost more than a blind guess")

# %% [markdown]
# The last column is called **perplexity**. A model with perplexity 3 is as unsure as if it chose among 3 equally good
# letters each time. A blind guess chooses among V, all the letters that the model knows.
#
# Random letters cost *more* than a blind guess. A model that is sure of something pays dearly when it is wrong.
#
# Here is the greeting letter by letter.

# %%
explained = kammil.explain(model, sentence)
figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
axes.bar(range(len(explained.places)), [place.bits for place in explained.places])
names = [lesson.letter(place.text) or "end" for place in explained.places]
axes.set_xticks(range(len(names)), names, fontsize=11)
for label in axes.get_xticklabels():
    label.set_fontsize(7 if len(label.get_text()) > 1 else 11)
axes.set_ylabel("bits")
axes.axhline(math.log2(V), color="grey", linestyle=":", label="blind guess: log2 V")
axes.legend(fontsize=8)
axes.invert_xaxis()
lesson.show(figure)

# %% [markdown]
# (Read it from the right.) Words seem to begin with a surprise and to end without one. One sentence proves nothing, so
# we look at all words of four letters or more in a hundred test posts.
#
# > **Guess first.** How many bits does a first letter cost, and how many a fourth?

# %%
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
lesson.claim(
    mean_bits == sorted(mean_bits, reverse=True),
    "each letter of a word is less of a surprise than the one before",
)

# %% [markdown]
# The more of a word you have typed, the surer the model is which word it will be. That is why a model of letters can
# finish words for you.
#
# What else was likely? `explain` keeps the alternatives. (`kammil explain "..." --html why.html` makes a page of it.)
#
# > **Guess first.** Look at the second letter in the figure. How probable was it, and how probable was its nearest
# > rival?

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
# ## How far back does it look?
#
# A coherent text keeps to its subject: what stands at the beginning matters at the end. Does it matter to the model?
# We ask for the 30 characters after the middle of each post, and hide the first half, all but its last few letters.
# (The 30 themselves are read one after the other, as always.)
#
# > **Guess first.** The model sees only the last 12 letters in place of the whole half. How many bits more does each
# > character cost?

# %%
halves = [(seen[: len(seen) // 2], seen[len(seen) // 2 :][:30]) for seen in map(model.normalise, test)]
context = {}
for kept in (1, 3, 6, 12, 25, 1000):
    cost = [sum(model.score(target, given=half[-kept:]).bits[:-1]) for half, target in halves]
    context[kept] = sum(cost) / sum(len(target) for _, target in halves)
lesson.table(
    ("letters of the half that it may see", "bits per character of the next 30"),
    *(("the whole half", f"{bits:.2f}") if kept == 1000 else (kept, f"{bits:.2f}") for kept, bits in context.items()),
    ("random (1/V)", f"{math.log2(V):.2f}"),
    note=f"A half has {np.mean([len(half) for half, _ in halves]):.0f} letters on average.",
)
gained = context[1] - context[1000]
lesson.say(
    f"To see the whole half in place of one letter saves {gained:.2f} bits per character. "
    f"The last 25 letters alone save {lesson.percent((context[1] - context[25]) / gained)} of that, "
    f"and the last 6 save {lesson.percent((context[1] - context[6]) / gained)}."
)
lesson.claim((context[1] - context[25]) / gained > 0.8, "the last 25 letters do nearly all the work")
lesson.claim((context[1] - context[6]) / gained > 0.5, "the last six letters do more than half of the work")

# %% [markdown]
# The last letters do nearly all the work. Whatever the post was about at its beginning, the model expects almost the
# same. That is why its own texts are not **coherent**: each word fits the words just before it, and nothing holds the
# whole together. It is also why the model can be small, and good enough to finish a word.
#
# ## Can its probabilities be believed?
#
# If a model says "60 %" a hundred times, is it right about sixty times? A model for which that holds is called
# **calibrated**. Accuracy cannot tell: it only asks which letter the model ranked first, not how sure the model was.
#
# We take every place of every test post, note the probability of the letter that the model thinks most probable, and
# whether it was right. Then we sort the places into ten bins by that probability. For comparison there is a
# *boaster*: it makes the same choices, and says each of them with 1.4 times the probability, at most 0.999.
#
# > **Guess first.** Networks are said to be too sure of themselves. Where will `levantine`'s dots lie, on the line or
# > below it?

# %%
said, was_right, of_truth = [], [], []
for post in test:
    ids = model.vocabulary.encode(model.normalise(post))
    read = np.concatenate([[BOS], ids])[None]  # BOS is the mark "here a text begins"; one row
    state = model.language_model.initial_state(1)  # the state of one text of which nothing has been read
    log_p, _ = model.language_model.forward(read, state)  # reads all; (1, T, V): what comes next after each mark
    truth = np.append(ids, EOS)  # EOS is the mark "here it ends"
    said += np.exp(log_p[0].max(-1)).tolist()
    was_right += (log_p[0].argmax(-1) == truth).tolist()
    of_truth += np.exp(log_p[0][np.arange(len(truth)), truth]).tolist()
confidence, hit, p_truth = np.array(said), np.array(was_right), np.array(of_truth)


def bins(confidence: np.ndarray, hit: np.ndarray) -> list[tuple[float, float, int]]:
    """Return (mean probability, share that was right, places) of each of ten bins."""
    which = np.minimum((confidence * 10).astype(int), 9)
    return [
        (float(confidence[which == b].mean()), float(hit[which == b].mean()), int((which == b).sum()))
        for b in range(10)
        if (which == b).any()
    ]


def error(confidence: np.ndarray, hit: np.ndarray) -> float:
    """Return the expected calibration error: the mean distance between said and true, weighted by places."""
    return sum(n * abs(p - q) for p, q, n in bins(confidence, hit)) / len(confidence)


boasting = np.minimum(confidence * 1.4, 0.999)
# What the boaster adds to its choice it takes from all other characters alike.
p_boast = np.where(hit, boasting, p_truth * (1 - boasting) / (1 - confidence).clip(1e-9))
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
axes.plot([0, 1], [0, 1], ":", color="grey", label="as often as said")
axes.plot(*np.array(bins(confidence, hit))[:, :2].T, "o-", label="levantine")
axes.plot(*np.array(bins(boasting, hit))[:, :2].T, "s--", label="the boaster")
axes.set_xlabel("probability that it says")
axes.set_ylabel("share that was right")
axes.legend(fontsize=8)
lesson.show(figure)
bits_of = {"levantine": -np.log2(p_truth).mean(), "the boaster": -np.log2(p_boast).mean()}
lesson.table(
    ("model", "right", "calibration error", "bits per character"),
    *(
        (name, lesson.percent(float(hit.mean())), lesson.percent(error(c, hit)), f"{bits_of[name]:.2f}")
        for name, c in (("levantine", confidence), ("the boaster", boasting))
    ),
    ("random (1/V)", lesson.percent(1 / V), "0.0 %", f"{math.log2(V):.2f}"),
)
near = min(bins(confidence, hit), key=lambda b: abs(b[0] - 0.6))
lesson.say(
    f"Where `levantine` says {lesson.percent(near[0])} on average, it is right {lesson.percent(near[1])} of the time."
)
lesson.claim(error(confidence, hit) < 0.05 < error(boasting, hit), "`levantine` is well calibrated, the boaster is not")
lesson.claim(
    all(0 < p - q < 0.1 for p, q, _ in bins(confidence, hit)), "`levantine`'s dots lie a little below the line"
)
lesson.claim(
    np.mean([p - q for p, q, _ in bins(boasting, hit)]) > 0.1, "the boaster's dots lie far below the line on average"
)
lesson.claim(
    bits_of["levantine"] < bits_of["the boaster"] < math.log2(V), "boasting costs bits, and fewer than a blind guess"
)

# %% [markdown]
# All of `levantine`'s dots lie a little below the line: it is a little too sure. The boaster's lie far below, on
# average. It is right as often as `levantine`, because it makes the same choices; only its probabilities are worth
# less.
#
# A random guess is perfectly calibrated, and useless: it says 1/V and is right in one of V cases. So calibration alone
# is not enough, and neither is accuracy. **Bits per character see both**: they rise when a model is wrong more often,
# and they rise when it is surer than it should be.
#
# ## What calibration is good for
#
# A program that offers a word must decide whether to show it. The rule is simple: show it if its probability is one
# half or more. Then a shown word is right more often than not, *if* the model is calibrated.
#
# > **Guess first.** How often is a shown word right with `levantine`'s probabilities, and how often with the boaster's?

# %%
some = [model.normalise(post) for post in test[:15]]
offers: list[tuple[float, bool]] = []  # probability of the best word, and whether it is the writer's
for text in some:
    session = model.session()
    for i in range(1, len(text)):
        session.update(text[:i])
        if text[i - 1].isalpha() and (best := session.suggest(1, correct=False)):
            whole = text[:i] + best[0].added
            offers.append((best[0].probability, text.startswith(whole) and not text[len(whole) :][:1].isalpha()))
words_said, words_right = np.array([p for p, _ in offers]), np.array([right for _, right in offers])
shown = {"levantine": words_said >= 0.5, "the boaster": words_said * 1.4 >= 0.5}
lesson.table(
    ("probabilities of", "places in words", "a word is shown at", "and is right in"),
    *((name, len(offers), int(w.sum()), lesson.percent(float(words_right[w].mean()))) for name, w in shown.items()),
)
rightly = {name: float(words_right[w].mean()) for name, w in shown.items()}
lesson.claim(rightly["levantine"] > rightly["the boaster"], "a smaller share of the boaster's words is right")
lesson.claim(rightly["levantine"] > 0.5, "a word that `levantine` shows is right more often than not")

# %% [markdown]
# The boaster shows more words, and a smaller share of them is right.
#
# ## Ghost text
#
# Ghost text is the grey end of the word that you have not typed yet, sometimes with the words after it. It should stay
# away unless it saves more than reading it costs. Let us type a sentence key by key, and accept the ghost whenever all
# of it is right. (A *stock phrase*, part 5, is for a writer who pauses. This one does not, so only those of its words
# count that the model is sure of.)
#
# > **Guess first.** Of the keys of this sentence, what share does the ghost save?


# %%
def type_with_ghost(model: kammil.Completer, text: str, *, show: bool = False) -> tuple[int, int]:
    """Type a text; where the ghost is right, accept it with one key. Return the keys and the words that were shown."""
    session, typed, rows, words, before = model.session(), "", [], 0, ""
    while typed != text:
        session.update(typed)
        phrase = session.phrase()
        ghost = phrase.sure if phrase.stock else phrase.added  # sure: the words at its beginning that it is sure of
        if typed + ghost != before:  # a new ghost, not the rest of the one before
            words += len(ghost.split())
        before = typed + ghost
        right = bool(ghost) and text.startswith(before)
        rows.append((typed, ghost, "accepted" if right else text[len(typed)].replace(" ", "space")))
        typed = before if right else text[: len(typed) + 1]
    if show:
        lesson.table(("typed", "ghost", "key"), *rows)
    return len(rows), words


keys, _ = type_with_ghost(model, sentence, show=True)
print(f"{keys} keys for {len(sentence)} letters: {lesson.percent(1 - keys / len(sentence))} saved")

# %% [markdown]
# A greeting is easy. What about posts that the model has never seen? A phone shows no ghost but three words above the
# keyboard, always. So we try both. The last column counts the words that the writer had to look at for each key
# saved.
#
# > **Guess first.** What share of the keys does the ghost save there, and what share do three words save?


# %%
def type_with_list(model: kammil.Completer, text: str, k: int = 3) -> tuple[int, int]:
    """Type a text; where one of k words is right, take it and the space after it. Return keys and words shown."""
    session, typed, keys, words, before = model.session(), "", 0, 0, set[str]()
    while typed != text:
        session.update(typed)
        offered = {typed + s.added for s in session.suggest(k) if not s.replaces}
        words += len(offered - before)
        before = offered
        right = [each for each in offered if (text + " ").startswith(each + " ")]
        typed = (right[0] + " ")[: len(text)] if right else text[: len(typed) + 1]
        keys += 1
    return keys, words


letters = sum(map(len, some))
ghost = np.sum([type_with_ghost(model, text) for text in some], axis=0)
listed = np.sum([type_with_list(model, text) for text in some], axis=0)
lesson.table(
    ("help", "keys", "saved", "words shown for each key saved"),
    ("none", letters, lesson.percent(0), ""),
    *(
        (name, keys, lesson.percent(1 - keys / letters), f"{words / (letters - keys):.1f}")
        for name, (keys, words) in (("ghost text", ghost), ("three words", listed))
    ),
    note=f"{len(some)} test posts",
)
lesson.claim(listed[0] < ghost[0] < letters, "both kinds of help save keys, and the list saves more")
lesson.claim(
    ghost[1] / (letters - ghost[0]) < listed[1] / (letters - listed[0]) / 2,
    "ghost text costs less than half the reading",
)

# %% [markdown]
# A list saves many more keys, and for each of them the writer reads several words. Ghost text saves few keys and costs
# little reading. So keys alone do not say which help is better. (`kammil evaluate --typing` measures both kinds for
# your texts, in words a minute.)
#
# ## Type in a terminal
#
# This loop reads a line, shows it with its ghost in brackets, and lets you accept the ghost with Enter. A program
# needs no more. Here it is fed from a list; in a terminal leave `keyboard` out: it then waits for what you type, and
# a dot ends it. (The brackets hold the whole stock phrase, for a writer who pauses; the table above held only its sure
# words.) `kammil type` is more comfortable: the ghost stands in grey behind the caret, and Tab takes it.


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


_ = terminal(["صب", "", " كيفك اليو", "."])

# %% [markdown]
# ## It learns while you type
#
# A model cannot know the name of your street. It can learn it at once, without training: `learn` adds a text to its
# counts, like the counts of part 1. No weight of the network changes. (`kammil profile learn me.jsonl "..."` keeps the
# texts in a file of yours.) `fork` makes a copy that learns for itself.
#
# > **Guess first.** How many times must it read a new word before it suggests it?

# %%
news = "نلتقى عند دوار الزرزورية الساعة سبعة"
begun, new_word = "رح نلتقى عند دوار الزر", "الزرزورية"
learner = model.fork()
others = [model.normalise(post) for post in test[:40]]
rows, word_bits, other_bits = [], [], []
for times in range(6):
    word_bits.append(sum(learner.score(new_word, given="رح نلتقى عند دوار ").bits[:-1]))
    other_bits.append(float(np.mean([learner.score(post).bits_per_character for post in others])))
    offered = [word.text for word in learner.suggest(begun, k=3)]
    rows.append((times, "، ".join(offered), f"{word_bits[-1]:.1f}", f"{other_bits[-1]:.3f}", new_word in offered))
    learner.learn(news)
lesson.table(
    ("times read", "suggestions", "bits of the new word", "bits per character of other posts", "suggested?"),
    *((*row[:4], "yes" if row[4] else "no") for row in rows),
    note=begun,
)
assert not rows[0][4]
assert rows[1][4]  # once is enough
assert word_bits == sorted(word_bits, reverse=True)
lesson.claim(max(other_bits) - min(other_bits) < 0.03, "other texts cost hardly more than before")
for _ in range(6):
    learner.forget(news)
assert [word.text for word in learner.suggest(begun, k=3)] == rows[0][1].split("، ")  # it can forget, too

# %% [markdown]
# Once. A counter needs to read a word once; a network learns by many small steps (part 4). `levantine` is a *blend* of
# both (part 7), so its counter can learn at once. And other posts cost hardly more than before.
#
# Now a week of messages from one person, who speaks of the same places again and again. Each message is typed with
# three words on offer. One model stays as it is. The other learns each message after it has been typed.
#
# > **Guess first.** From which message on does the learning model save keys?

# %%
week = [
    news,
    "وصلت عند دوار الزرزورية وما لقيت حدا",
    "الاجتماع بنادي الفلك تأجل للخميس",
    "مين جاي عنادي الفلك الخميس؟",
    "خلينا نلتقى عند دوار الزرزورية ونروح سوا عنادي الفلك",
    "نسيت التلسكوب بنادي الفلك",
    "التلسكوب رح يضل بنادي الفلك للخميس",
    "بكرا الساعة سبعة عند دوار الزرزورية متل العادة",
    "حدا يجيب التلسكوب معو عالاجتماع",
    "الاجتماع الخميس الساعة سبعة بنادي الفلك",
]


def keys_of(model: kammil.Completer, texts: list[str], *, learns: bool) -> list[int]:
    """Return the keys of each text, typed with three words on offer."""
    model, keys = model.fork(), []
    for text in map(model.normalise, texts):
        keys.append(type_with_list(model, text)[0])
        if learns:
            model.learn(text)
    return keys


fixed, learning = (np.array(keys_of(model, week, learns=learns)) for learns in (False, True))
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
number = np.arange(1, len(week) + 1)
axes.bar(number - 0.2, fixed, 0.4, label="stays as it is")
axes.bar(number + 0.2, learning, 0.4, label="learns each message")
axes.set_xticks(number)
axes.set_xlabel("message")
axes.set_ylabel("keys")
axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
lesson.show(figure)
strangers = [np.sum(keys_of(model, some, learns=learns)) for learns in (False, True)]
lesson.table(
    ("typed", "keys, stays as it is", "keys, learns", "fewer keys"),
    *(
        (name, one, other, lesson.percent(float(1 - other / one)))
        for name, one, other in (
            ("a week of one person", fixed.sum(), learning.sum()),
            (f"{len(some)} test posts of different people", *strangers),
        )
    ),
)
assert fixed[0] == learning[0]  # nothing has been learnt yet
assert 1 - learning.sum() / fixed.sum() > 0.1
lesson.claim(
    abs(1 - strangers[1] / strangers[0]) < 0.05,
    "for posts of different people learning changes next to nothing",
)

# %% [markdown]
# Learning while you type helps with what you repeat: names, and phrases of your own. With posts that have nothing in
# common it changes next to nothing.
#
# ## What to keep
#
# - Surprise in bits: minus log2 of the probability. Perplexity: 2 to the power of the mean bits.
# - The more of a word you have typed, the surer the model is which word it will be.
# - *Calibrated*: what the model calls 60 % happens in 60 of 100 cases. Then a threshold means what it says.
# - Ghost text and lists cost reading. Keys saved are half of the account.
# - A counter learns a word from one reading, without training, and can forget it.
#
# ## Exercises
#
# Write an answer in place of `...` and run the cell. It says whether the answer is right.
#
# 1. Which letter of your own text `mine` surprised the model most? Give its number in `kammil.explain(model,
#    mine).places`; the first is 0. (The last place is the end of the text, no letter.)
# 2. A model says the same probability at every place: the share of its choices that are right, `hit.mean()`. What is
#    its calibration error? Is it a good model?
# 3. Suppose that a program shows the words of at least some probability, the threshold. Write a function
#    `answer_3(share)` that returns the lowest of the thresholds 0.1, 0.2, ... 0.9 at which at least this share of the
#    shown words is right. (`words_said` and `words_right` hold what was measured.)

# %%
answer_1 = ...
lesson.check(
    answer_1,
    lambda place: place == int(np.argmax([each.bits for each in kammil.explain(model, mine).places[:-1]])),
    "look for the letter with the most bits; leave the end of the text out",
)

# %%
answer_2 = ...
lesson.check(answer_2, lambda e: abs(e - error(np.full(len(hit), hit.mean()), hit)) < 0.001, "use `error`")

# %%
answer_3 = ...
lesson.check(
    answer_3,
    lambda threshold_for: all(
        words_right[words_said >= threshold_for(share)].mean() >= share
        and (threshold_for(share) < 0.15 or words_right[words_said >= threshold_for(share) - 0.1].mean() < share)
        for share in (0.3, 0.5, 0.7)
    ),
    "try the thresholds from the lowest up, and stop at the first that will do",
)

# %% [markdown]
# The answers stand in [a file of their own](solutions/6_your_own_text.py).
#
# Next: [7. What helps?](7_what_helps.ipynb)

# %% [markdown]
# # Solutions of part 5
#
# These cells go on where the part ends.
#
# 1. Squares, divided by their sum.

# %%
answer_1 = p**2 / (p**2).sum()
lesson.check(answer_1, lambda q: np.allclose(q, at_temperature(p, 0.5)), "what is 1/T, and does it add up to 1?")

# %% [markdown]
# 2. Sorted tuples are sorted by their first number, the bits.


# %%
def answer_2(half: str, drafts: list[kammil.Completion]) -> list[str]:
    """Return up to three texts with different first words, the cheapest first."""
    texts = {}
    for _, text in sorted(candidates(half, drafts)):
        texts.setdefault(first_word(text), text)  # keeps the first, the cheapest
    return list(texts.values())[:3]


lesson.check(answer_2, offers_three, "sort the candidates, go through them, and remember the first words")

# %% [markdown]
# 3. Entropy rises with the temperature.


# %%
def answer_3(q: np.ndarray) -> float:
    """Return the mean bits of a draw."""
    return float(-(q[q > 0] * np.log2(q[q > 0])).sum())


lesson.check(
    answer_3,
    lambda entropy: np.allclose([entropy(np.full(4, 0.25)), entropy(np.array([1.0, 0.0]))], [2, 0]),
    "leave out the zeros: log2(0) is minus infinity",
)
for t in TEMPERATURES:
    print(f"T = {t:g}: {answer_3(at_temperature(p, t)):.2f} bits")

# %% [markdown]
# 4. A text may have a single word, and then there is no space.


# %%
def answer_4(text: str) -> str:
    """Return a text without its last word, if it has two."""
    return text.rpartition(" ")[0] or text


lesson.check(
    answer_4,
    lambda cut: [cut("one two thr"), cut("one")] == ["one two", "one"],
    "look for the last space",
)

# %% [markdown]
# # Solutions of part 5
#
# These cells go on where the part ends.
#
# 1. Squares, divided by their sum.

# %%
answer_1 = p**2 / (p**2).sum()
lesson.check(answer_1, lambda q: np.allclose(q, at_temperature(p, 0.5)), "at T = 0.5, 1/T is 2")

# %% [markdown]
# 2. One, whatever the temperature: top-k with k = 1 is greedy decoding.


# %%
def answer_2(p: np.ndarray, t: float) -> int:
    """Return how many characters top-k with k = 1 keeps."""
    return int((top_k(at_temperature(p, t), 1) > 0).sum())


lesson.check(answer_2, lambda one: [one(p, t) for t in (0.2, 1, 2)] == [1, 1, 1], "count what is above 0")

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

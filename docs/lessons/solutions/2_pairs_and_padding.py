# %% [markdown]
# # Solutions of part 2
#
# They go on where [the part](../2_pairs_and_padding.py) ends: paste them into its notebook.


# %%
# 1. Each row is filled up to the longest.
def answer_1(lengths: list[int]) -> int:
    """Return the number of blanks that fill up all rows to the longest."""
    return sum(max(lengths) - length for length in lengths)


lesson.check(answer_1, lambda blanks: blanks([3, 5, 9]) == padded([3, 5, 9]), "the longest row needs none")


# %%
# 2. Sorted, neighbours are about equally long.
def in_batches(lengths: list[int], size: int) -> int:
    """Return the blanks of all batches."""
    return sum(answer_1(lengths[i : i + size]) for i in range(0, len(lengths), size))


def answer_2(lengths: list[int], size: int) -> float:
    """Return how many times as many blanks the given order needs as the sorted one."""
    return in_batches(lengths, size) / in_batches(sorted(lengths), size)


lesson.check(
    answer_2,
    lambda times: np.isclose(times([3, 9, 4, 8, 2, 7], 2), sum(map(padded, unsorted)) / sum(map(padded, in_order))),
    "divide the blanks of all unsorted batches by those of all sorted ones",
)
print(f"{answer_2(list(map(len, train)), 32):.0f} times as many")

# %%
# 3. No: the bias of the layer `update` moves the state, even when everything else is zero.
with torch.no_grad():
    answer_3 = float(results["before"][0].states(torch.zeros(1, 50, dtype=torch.long))[0, -1].abs().max())
lesson.check(
    answer_3,
    lambda number: 0.01 < number <= 1,
    "use states() on a row of 50 zeros with dtype=torch.long, and look at the last state",
)
print(f"{answer_3:.2f}")

# %%
# 4. A friendly question, and a shout.
answer_4 = "شو؟ 🙂", "شو!"
lesson.check(answer_4, lambda t: t[0] != t[1] and bare(t[0]) == bare(t[1]), "it keeps letters and digits only")

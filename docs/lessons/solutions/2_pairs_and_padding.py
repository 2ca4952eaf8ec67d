# %% [markdown]
# # Solutions of part 2
#
# They go on where [the part](../2_pairs_and_padding.py) ends: paste them into its notebook.


# %%
def blanks(lengths: list[int]) -> int:
    """Return the number of blanks that fill up all rows to the longest."""
    return sum(max(lengths) - length for length in lengths)


lesson.check(blanks([3, 5, 9]), 10, "the longest row needs none")


# %%
def in_batches(lengths: list[int]) -> int:
    """Return the blanks of all batches of 32."""
    return sum(blanks(lengths[i : i + 32]) for i in range(0, len(lengths), 32))


lengths = list(map(len, train))
times = in_batches(lengths) / in_batches(sorted(lengths))
lesson.check(times, lambda t: 5 < t < 500, "divide the blanks of all unsorted batches by those of all sorted ones")
print(f"{times:.0f} times as many")

# %%
with torch.no_grad():
    largest = float(results["before"][0].states(torch.zeros(1, 50, dtype=torch.long))[0, -1].abs().max())
lesson.check(
    largest, lambda number: 0.01 < number <= 1, "use states() on a row of 50 zeros, and look at the last state"
)
print(f"{largest:.2f}: the bias of the layer `update` moves the state, even when everything else is zero")

# %%
two = "شو؟ 🙂", "شو!"  # a friendly question, and a shout
lesson.check(two, lambda t: t[0] != t[1] and bare(t[0]) == bare(t[1]), "it keeps letters and digits only")

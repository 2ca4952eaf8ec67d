# %% [markdown]
# # Solutions of part 1
#
# They go on where [the part](../1_see_the_end.py) ends: paste them into its notebook.

# %%
answer = 1 + 2 + 3 + 3
lesson.check(answer, 9, "add the surprises log2(1 / p) of the four")


# %%
def new_pairs(learn: list[str], judge: list[str]) -> set[tuple[str, str]]:
    """Return neighbouring characters of `judge` that are nowhere neighbours in `learn`."""

    def pairs(texts: list[str]) -> set[tuple[str, str]]:
        return {pair for text in texts for pair in pairwise(text)}

    return pairs(judge) - pairs(learn)


lesson.check(new_pairs(["abc", "ca"], ["abca", "bb", "ad"]), lambda a: a == {("b", "b"), ("a", "d")})
print(len(new_pairs(train, test)), "pairs of the test part are new")


# %%
def descend(start: float, rate: float, steps: int) -> float:
    """Return w after so many steps downhill."""
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        w.grad = None
        ((w - 5) ** 2).backward()
        with torch.no_grad():
            w -= rate * w.grad
    return w.item()


lesson.check(descend(0.0, 0.1, 100), lambda w: abs(w - 5) < 1e-3, "the steps must end near 5")
too_high = 1.1  # each step goes beyond 5 and ends further away than it began
lesson.check(too_high, lambda rate: abs(descend(0.0, rate, 100)) > 1000, "try a larger one")

# %% [markdown]
# # Solutions of part 1
#
# They go on where [the part](../1_see_the_end.py) ends: paste them into its notebook.

# %%
# 1. The surprises are added.
answer_1 = 1 + 2 + 3 + 3
lesson.check(answer_1, -math.log2(1 / 2 * 1 / 4 * 1 / 8 * 1 / 8), "add the surprises log2(1 / p) of the four")


# %%
# 2. Sets can be subtracted.
def answer_2(learn: list[str], judge: list[str]) -> set[tuple[str, str]]:
    """Return neighbouring characters of `judge` that are nowhere neighbours in `learn`."""

    def pairs(texts: list[str]) -> set[tuple[str, str]]:
        return {pair for text in texts for pair in pairwise(text)}

    return pairs(judge) - pairs(learn)


lesson.check(answer_2, lambda new: new(["abc", "ca"], ["abca", "bb", "ad"]) == {*pairwise("bb"), *pairwise("ad")})
print(len(answer_2(train, test)), "pairs of the test part are new")


# %%
# 3. The loop of the part, with another loss.
def answer_3(start: float, rate: float, steps: int) -> float:
    """Return w after so many steps downhill."""
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        w.grad = None
        ((w - 5) ** 2).backward()
        with torch.no_grad():
            w -= rate * w.grad
    return w.item()


lesson.check(answer_3, lambda descend: abs(descend(0.0, 0.1, 100) - 5) < 1e-3, "the steps must end near 5")

# %%
# 4. Each step goes beyond 5 and ends further away than it began.
answer_4 = 1.1
lesson.check(answer_4, lambda rate: not abs(answer_3(0.0, rate, 100)) <= 1000, "try a larger one")
for answer_4 in (2, 3, 10, 1e6):  # far too large: w is beyond all numbers, or none (nan)
    lesson.check(answer_4, lambda rate: not abs(answer_3(0.0, rate, 100)) <= 1000, "try a larger one")

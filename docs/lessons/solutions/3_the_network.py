# %% [markdown]
# # Solutions of part 3
#
# They go on where the part ends, with its names.

# %%
# 1. r, z and n read the embedding (32) and the state (64), and have two biases, for each of 64 numbers.
answer_1 = 3 * 64 * (32 + 64 + 2)
lesson.check(answer_1, sum(p.numel() for p in nn.GRU(32, 64).parameters()), "count r, z and n, each with two biases")

# %%
# 2. Hold z at 1, and everything is kept.
answer_2 = PlainGRU(V, 8, 16)
with torch.no_grad():
    answer_2.b_x[16:32] = 100.0
lesson.check(answer_2, keeps_all, "which gate keeps the old state? Make its bias very large")

# %%
# 3. r at 1: the candidate sees all of the old state. z at 0: nothing of it is kept.
answer_3 = PlainGRU(V, 8, 16)
with torch.no_grad():
    answer_3.b_x[:16] = 100.0
    answer_3.b_x[16:32] = -100.0
lesson.check(
    answer_3,
    is_plain,
    "let the candidate see all of the old state and keep nothing: give both gates very large biases",
)

# %%
# 4. log2 V
answer_4 = math.log2(50)
lesson.check(
    answer_4,
    F.cross_entropy(torch.zeros(1, 50), torch.tensor([7])).item() / math.log(2),
    "a newborn network gives each of them 1/50",
)

# %% [markdown]
# # Solutions of part 3
#
# They go on where the part ends, with its names.

# %%
# 1. r, z and n read the embedding (32) and the state (64), and have two biases, for each of 64 numbers.
answer = 3 * 64 * (32 + 64 + 2)
lesson.check(answer, sum(p.numel() for p in nn.GRU(32, 64).parameters()), "count r, z and n, each with two biases")

# %%
# 2. Hold z at 1, and everything is kept.
stuck = PlainGRU(V, 8, 16)
with torch.no_grad():
    stuck.b_x[16:32] = 100.0
lesson.check(stuck, keeps_all, "which gate keeps the old state?")

# %%
# 3. r at 1: the candidate sees all of the old state. z at 0: nothing of it is kept.
as_plain = PlainGRU(V, 8, 16)
with torch.no_grad():
    as_plain.b_x[:16] = 100.0
    as_plain.b_x[16:32] = -100.0
lesson.check(as_plain, is_plain, "the candidate should see all of the old state, and nothing of it should be kept")

# %%
# 4. log2 V
bits = math.log2(50)
lesson.check(bits, math.log2(50), "a newborn network gives each of them 1/50")

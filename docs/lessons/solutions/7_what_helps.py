# %% [markdown]
# # Solutions of part 7
#
# 1. Four times as many posts halve the interval: its width goes with one over the square root of their number.

# %%
answer_1 = 4 * len(test)
lesson.check(answer_1, halves_it, "compare the two rows: how many times the posts, how many times the width?")

# %% [markdown]
# 2. The model of words is better, although its perplexity is far higher. Compare in bits per character, always.

# %%
answer_2 = (math.log2(200) / 5, math.log2(8))
lesson.check(answer_2, (1.53, 3.0), "bits are the logarithm to base 2; a word shares them out")
assert answer_2[0] < answer_2[1]

# %% [markdown]
# 3. All letters are read again at each step; that is slow and right. Kammil keeps the keys and values of each layer.
#    Without `BOS` the Transformer writes something else: it has never read a text without its beginning.


# %%
def greedy(ids: list[int]) -> str:
    """Return the 30 letters that the Transformer writes after these ids."""
    for _ in range(30):
        with torch.no_grad():
            log_p = mine(torch.tensor([ids]))[0, -1]
        ids = [*ids, 4 + int(log_p[4:].argmax())]
    return transformer.vocabulary.decode(ids[-30:])


read_ids = transformer.vocabulary.encode(prompt)
answer_3 = greedy([BOS, *read_ids])
lesson.check(
    answer_3,
    transformer.complete(prompt, length=30, temperature=0).text,
    "Kammil's, with the same numbers, writes other letters; does the text begin with BOS?",
)
assert greedy([*read_ids]) != answer_3

# %% [markdown]
# 4. Letter frequencies would not notice: they know no order. All that the counter knows of the order is lost.

# %%
whole_posts = [counter.normalise(post) for post in test]
shuffled = ["".join(rng.permutation(list(post))) for post in whole_posts]
before, after = (np.mean([counter.score(post).bits_per_character for post in part]) for part in (whole_posts, shuffled))
answer_4 = after - before
print(f"{before:.2f} bits, shuffled {after:.2f}")
lesson.check(
    answer_4, lambda bits: abs(bits - 2.36) < 0.15, "take the mean over the posts before and after the shuffling"
)

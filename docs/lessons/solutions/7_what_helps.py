# %% [markdown]
# # Solutions of part 7
#
# 1. Four times as many posts halve the interval: its width goes with one over the square root of their number.

# %%
posts_for_half = 4 * len(test)
lesson.check(posts_for_half, halves_it, "twice as many are not enough; try more")

# %% [markdown]
# 2. The model of words is better, although its perplexity is far higher. Compare in bits per character, always.

# %%
bits_per_character = (math.log2(200) / 5, math.log2(8))
lesson.check(bits_per_character, (math.log2(200) / 5, 3.0), "bits are the logarithm to base 2; a word shares them out")
assert bits_per_character[0] < bits_per_character[1]

# %% [markdown]
# 3. All letters are read again at each step; that is slow and right. Kammil keeps the keys and values of each layer.

# %%
written_ids = [BOS, *transformer.vocabulary.encode(prompt)]
for _ in range(30):
    with torch.no_grad():
        expected = mine(torch.tensor([written_ids]))[0, -1]
    written_ids.append(4 + int(expected[4:].argmax()))
own_text = transformer.vocabulary.decode(written_ids[-30:])
lesson.check(
    own_text,
    transformer.complete(prompt, length=30, temperature=0).text,
    "Kammil's, with the same numbers, writes other letters",
)

# %% [markdown]
# 4. Letter frequencies would not notice: they know no order. All that the counter knows of the order is lost.

# %%
whole_posts = [counter.normalise(post) for post in test[:60]]
shuffled = ["".join(rng.permutation(list(post))) for post in whole_posts]
before, after = (np.mean([counter.score(post).bits_per_character for post in part]) for part in (whole_posts, shuffled))
rise = after - before
print(f"{before:.2f} bits, shuffled {after:.2f}")
lesson.check(rise, lambda bits: 1 < bits < random_bits, "take the mean over the posts before and after the shuffling")

# %% [markdown]
# # Solutions of part 6
#
# These cells go on where the part ends.
#
# 1. The largest bar of the text's own figure, without that of the end.

# %%
places = kammil.explain(model, mine).places[:-1]
answer_1 = max(range(len(places)), key=lambda i: places[i].bits)
lesson.check(
    answer_1,
    lambda place: place == int(np.argmax([each.bits for each in kammil.explain(model, mine).places[:-1]])),
    "look for the letter with the most bits; leave the end of the text out",
)
print(f"{lesson.letter(places[answer_1].text)}: {places[answer_1].bits:.1f} bits")

# %% [markdown]
# 2. None: it says what is true, on average. But it says the same everywhere, so no threshold can tell its good guesses
#    from its bad ones.

# %%
answer_2 = 0.0
lesson.check(answer_2, lambda e: abs(e - error(np.full(len(hit), hit.mean()), hit)) < 0.001, "use `error`")

# %% [markdown]
# 3. The higher the share that is asked for, the higher the threshold, and the fewer words are shown.


# %%
def answer_3(share: float) -> float:
    """Return the lowest threshold from which on this share of the shown words is right."""
    tried = [t / 10 for t in range(1, 10)]
    return next(t for t in tried if words_right[words_said >= t].mean() >= share)


lesson.check(
    answer_3,
    lambda threshold_for: all(
        words_right[words_said >= threshold_for(share)].mean() >= share
        and (threshold_for(share) < 0.15 or words_right[words_said >= threshold_for(share) - 0.1].mean() < share)
        for share in (0.3, 0.5, 0.7)
    ),
    "try the thresholds from the lowest up, and stop at the first that will do",
)
for share in (0.3, 0.5, 0.7):
    print(
        f"{lesson.percent(share)} right: from {answer_3(share):.1f} on, {(words_said >= answer_3(share)).sum()} words"
    )

# %% [markdown]
# # Solutions of part 4
#
# They go on where the part ends, with its names.


# %%
# 1. It says again what it has just read: a very low loss, and nothing learnt about what comes next.
def unshifted(network: Network, rows: Tensor) -> Tensor:
    """Return the mean loss in nats of every character, asked for when it has just been read."""
    states, _ = network.gru(network.embedding(rows))
    return F.cross_entropy(network.output(states).flatten(0, 1), rows.flatten(), ignore_index=0)


lesson.check(unshifted, is_unshifted, "in `loss_of`, which columns are read, and which are asked for?")


# %%
# 2. Up to the first mistake the network has read the same, alone or not. A coin that is right with probability a, each
# time anew, is right a / (1 - a) times before its first mistake.
def before(right: Tensor) -> float:
    """Return the mean number of right characters before the first mistake of each row."""
    return sum([*row, False].index(False) for row in right.tolist()) / len(right)


lesson.check(before, counts_before, "a row without a mistake counts whole; characters after a mistake do not count")
assert before(free) == before(forced)
a = forced.float().mean().item()
print(f"right before the first mistake: {before(free):.2f} characters; a coin of {a:.2f} would give {a / (1 - a):.2f}")


# %%
# 3.
def mixed(network: Network, halves: Tensor, lengths: Tensor, targets: Tensor, q: float) -> Tensor:
    """Scores (N, 30, V) of a decoder that reads itself with probability q, else the truth."""
    h = network.encode(halves, lengths)
    scores = [network.output(h)]
    for t in range(TARGET - 1):
        reads = torch.where(torch.rand(len(halves)) < q, scores[-1].argmax(-1), targets[:, t])
        h = network.gru(network.embedding(reads[:, None]), h[None])[1][0]
        scores.append(network.output(h))
    return torch.stack(scores, dim=1)


lesson.check(mixed, is_mixed, "begin with `itself`; what is read may be another character for each post")
Network.scheduled = lambda self, *rows: mixed(self, *rows, q=0.25)
scheduled = learn("scheduled")[0]
rows_of_scores = []
for name, network in (("the truth", learnt["truth"][0]), ("itself in one of four", scheduled)):
    rows_of_scores.append((name, *(lesson.percent(judge(network, how)[1]) for how in ("truth", "itself"))))
lesson.table(("while it learns it reads", "right, with the teacher", "right, alone"), *rows_of_scores)


# %%
# 4.
def first_step(rule: type[torch.optim.Optimizer], scale: float) -> float:
    """Return how far the output layer moves in the first step with a loss times `scale`."""
    torch.manual_seed(0)
    network = Network()
    optimiser = rule(network.parameters(), lr=0.01)
    (scale * loss_of(network, whole(few))).backward()
    old = network.output.weight.detach().clone()
    optimiser.step()
    return (network.output.weight - old).norm().item()


lesson.check(first_step, is_first_step, "keep a copy of the weight before the step: `.detach().clone()`")
times = [first_step(rule, 100) / first_step(rule, 1) for rule in (torch.optim.SGD, torch.optim.AdamW)]
print(f"SGD goes {times[0]:.0f} times as far, AdamW {times[1]:.2f} times: it divides the gradient by its usual size")
assert np.allclose(times, (100, 1), rtol=0.05)

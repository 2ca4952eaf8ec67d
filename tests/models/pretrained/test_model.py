"""The next character of a pretrained model, against the sum over all ways to cut the text into its tokens."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from kammil.errors import FolderError
from kammil.language_model import CONFIG, Artifacts, select_rows
from kammil.models.family import load_model
from kammil.models.pretrained.checkpoint import KeyValueCache, build, config_text, own_weights
from kammil.models.pretrained.model import ARRAYS, PREFIX, SHARES, TOKENS, PretrainedModel, TokenNetwork, TokenUnits
from kammil.models.subwords.model import UnitVocabulary
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

SPACE, ALEF, BEH, TEH = range(SPECIALS, SPECIALS + 4)
SIZE = SPECIALS + 4
END, UNKNOWN, NEVER, ONE, D8, A8, AA, BLANK, BLANK_ALEF, BLANK_D8, TWO, F0, F0_9F, B6 = range(14)
"""Tokens: the end, an unknown character, one that is no text, ا, its first byte and the second ones of ب and ت, a
space, a space and ا, a space and the first byte, اا; three that lead to no character of these texts."""
LONGER = {
    (SPACE, ALEF): (BLANK_ALEF,),
    (ALEF, ALEF): (TWO,),
    (SPACE, BEH): (BLANK_D8, A8),
    (SPACE, TEH): (BLANK_D8, AA),
}
SPELLED = {(SPACE,): (BLANK,), (ALEF,): (ONE,), (BEH,): (D8, A8), (TEH,): (D8, AA)} | LONGER
WINDOW = 16

typed = st.lists(st.sampled_from([UNK, SPACE, ALEF, BEH, TEH]), max_size=6)


def make_units(prefix: list[int]) -> TokenUnits:
    tokens = [(), (UNKNOWN,), (END,), (END,), *(SPELLED[(id,)] for id in range(SPECIALS, SIZE))]
    shares = np.array([0, 1, 0, 1, 1, 1, 0.75, 0.25, 1, 1, 0.5, 0.5], np.float32)
    longer = sorted(LONGER)
    tokens += [LONGER[unit] for unit in longer]
    order = dict(zip(LONGER, shares[SIZE:].tolist(), strict=True))
    shares[SIZE:] = [order[unit] for unit in longer]
    return TokenUnits(UnitVocabulary(SIZE, longer), tokens, shares, np.array(prefix, np.int64))


@pytest.fixture(scope="module")
def network() -> GPT2LMHeadModel:
    """Over all tokens; its weights are large, so that its choices are far from even."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=14, n_embd=8, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    return model


@pytest.fixture(scope="module")
def contexts(network: GPT2LMHeadModel) -> KeyValueCache:
    return KeyValueCache(network)


def runner(contexts: KeyValueCache, prefix: list[int], *, expanded: float = 0, hypotheses: int = 64) -> PretrainedModel:
    units = make_units(prefix)
    network = TokenNetwork(contexts, units, WINDOW, expanded=expanded)
    return PretrainedModel(network, units, hypotheses=hypotheses, min_share=0 if hypotheses == 64 else 1e-4)


@cache
def next_token(network: GPT2LMHeadModel, read: tuple[int, ...]) -> list[float]:
    with torch.no_grad():
        return torch.softmax(network(input_ids=torch.tensor([[END, *read]])).logits[0, -1].double(), -1).tolist()


@cache
def unit_probability(network: GPT2LMHeadModel, read: tuple[int, ...], tokens: tuple[int, ...]) -> float:
    """Probability of the tokens of a unit, one after the other."""
    p = 1.0
    for i, token in enumerate(tokens):
        p *= next_token(network, read + tokens[:i])[token]
    return p


@cache
def slow(network: GPT2LMHeadModel, text: tuple[int, ...], read: tuple[int, ...] = ()) -> float:
    """Probability that a text begins like this: the sum over all cuts, by their definition.

    The last unit is the one that holds the last character; it may go on beyond. UNK is all that is no other unit.
    """
    if not text:
        return 1
    units = SPELLED | {(EOS,): (END,)}
    p = {unit: unit_probability(network, read, tokens) for unit, tokens in units.items()}
    p[(UNK,)] = 1 - sum(p.values())
    total = 0.0
    for unit, share in p.items():
        if unit[: len(text)] == text:
            total += share
        elif text[: len(unit)] == unit:
            total += share * slow(network, text[len(unit) :], read + (units | {(UNK,): (UNKNOWN,)})[unit])
    return total


@pytest.mark.parametrize("prefix", [[], [SPACE]])
@settings(max_examples=25)
@given(text=typed)
def test_it_is_the_sum_over_all_ways_to_cut(
    network: GPT2LMHeadModel, contexts: KeyValueCache, prefix: list[int], text: list[int]
) -> None:
    model = runner(contexts, prefix)
    scores, _ = model.forward(np.array([[BOS, *text]]), model.initial_state(1), last=1)
    begun = (*prefix, *text)
    given = slow(network, begun)
    producible = [UNK, *range(EOS, SIZE)]
    wanted = [slow(network, (*begun, id)) / given for id in producible]
    assert sum(wanted) == pytest.approx(1)  # of all next characters
    assert np.exp(scores[0, 0, producible]) == pytest.approx(np.array(wanted), abs=2e-5, rel=1e-3)


@settings(max_examples=25)
@given(text=typed)
def test_the_score_of_a_text_is_the_sum_over_its_cuts(
    network: GPT2LMHeadModel, contexts: KeyValueCache, text: list[int]
) -> None:
    model = runner(contexts, [])
    scores, _ = model.forward(np.array([[BOS, *text]]), model.initial_state(1))
    found = np.take_along_axis(scores[0].astype(np.float64), np.array([*text, EOS])[:, None], -1).sum()
    assert found == pytest.approx(np.log(slow(network, (*text, EOS))), abs=2e-3)


def test_beginnings_of_little_probability_are_shared_as_in_the_training_texts(
    network: GPT2LMHeadModel, contexts: KeyValueCache
) -> None:
    model = runner(contexts, [], expanded=2)  # more than any
    scores, _ = model.forward(np.array([[BOS]]), model.initial_state(1), last=1)
    p = next_token(network, ())
    blank = p[BLANK] + p[BLANK_ALEF] + p[BLANK_D8]
    wanted = {SPACE: blank, ALEF: p[ONE] + p[TWO], BEH: 0.75 * p[D8], TEH: 0.25 * p[D8], EOS: p[END]}
    wanted[UNK] = 1 - sum(wanted.values())
    assert {id: float(np.exp(scores[0, 0, id])) for id in wanted} == pytest.approx(wanted, abs=1e-5)


@settings(max_examples=25)
@given(
    texts=st.integers(1, 8).flatmap(
        lambda n: st.lists(st.lists(st.integers(1, SIZE - 1), min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    hypotheses=st.integers(2, 4),
    expanded=st.sampled_from([0, 0.01, 2]),
)
def test_few_hypotheses_give_a_distribution_all_the_same(
    contexts: KeyValueCache, texts: list[list[int]], hypotheses: int, expanded: float
) -> None:
    model = runner(contexts, [SPACE], expanded=expanded, hypotheses=hypotheses)
    ids = np.array([[BOS, *text] for text in texts])
    scores, end = model.forward(ids, model.initial_state(len(ids)))
    assert np.exp(scores.astype(np.float64)).sum(-1) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(scores[..., [UNK, *range(EOS, SIZE)]]).all()
    assert end[0].sum(-1) == pytest.approx(1)
    alone, _ = model.forward(ids[-1:], model.initial_state(1))
    assert scores[-1] == pytest.approx(alone[0], abs=1e-4)


def test_padding_is_not_read(contexts: KeyValueCache) -> None:
    model = runner(contexts, [])
    _, state = model.forward(np.array([[BOS, ALEF, BEH]]), model.initial_state(1))
    _, after = model.forward(np.array([[PAD, PAD]]), state)
    assert np.array_equal(after[3].max(-1), state[3].max(-1))  # no token more


def test_rows_may_begin_at_different_times(contexts: KeyValueCache) -> None:
    model = runner(contexts, [SPACE])
    _, state = model.forward(np.array([[BOS], [PAD]]), model.initial_state(2))
    scores, _ = model.forward(np.array([[ALEF, BEH], [BOS, ALEF]]), state)
    alone, _ = model.forward(np.array([[BOS, ALEF]]), model.initial_state(1))
    assert scores[1, 1] == pytest.approx(alone[0, 1], abs=1e-4)
    assert scores[0, 0] == pytest.approx(alone[0, 1], abs=1e-4)


def test_the_state_given_is_left_as_it_was(contexts: KeyValueCache) -> None:
    model = runner(contexts, [SPACE])
    _, state = model.forward(np.array([[BOS, ALEF], [BOS, BEH]]), model.initial_state(2))
    before = select_rows(state, np.arange(2))
    model.forward(np.array([[SPACE, TEH], [BOS, SPACE]]), state)
    for array, copied in zip(before, state, strict=True):
        assert np.array_equal(array, copied)


@pytest.fixture(scope="module")
def artifacts(network: GPT2LMHeadModel) -> Artifacts:
    weights = {name: value.detach().numpy() for name, value in own_weights(network).items()}
    return Artifacts(weights | make_units([SPACE]).arrays(), {CONFIG: config_text(network.config)})


SETTINGS = {"window": WINDOW}


def test_a_saved_model_is_the_same(artifacts: Artifacts, contexts: KeyValueCache) -> None:
    model, again = runner(contexts, [SPACE], expanded=0.01, hypotheses=8), load_model("pretrained", SETTINGS, artifacts)
    ids = np.random.default_rng(0).integers(SPECIALS, SIZE, (3, 9))
    ids[:, 0] = BOS
    one, _ = model.forward(ids, model.initial_state(3))
    other, _ = again.forward(ids, again.initial_state(3))
    assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_layer": 3},
        {"n_layer": 1 << 40},
        {"vocab_size": 1 << 40},
        {"n_embd": 16},
        {"n_positions": 1 << 50},
        {"model_type": "bert"},
        {"model_type": "nothing"},
        {"model_type": None},
        {"activation_function": "__import__('os').system"},
    ],
)
def test_a_foreign_configuration_is_refused(artifacts: Artifacts, changed: dict[str, object]) -> None:
    config = json.dumps(json.loads(artifacts.documents[CONFIG]) | changed)
    with pytest.raises(FolderError, match=r"pretrained .*arrays"):
        load_model("pretrained", SETTINGS, Artifacts(artifacts.weights, {CONFIG: config}))


TINY = {"vocab_size": 16, "hidden_size": 64, "num_attention_heads": 2, "num_heads": 2}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n_layer": 1000}, "more parts than there are weights"),
        ({"model_type": "xlstm", "num_blocks": 1_000_000} | TINY, "num_blocks is 1000000"),
        ({"model_type": "xlstm", "num_blocks": 60_000} | TINY, "more parts than there are weights"),
        ({"model_type": "gpt_neo", "attention_types": [[["global"], 100_000_000]]}, "attention_types is 100000000"),
        ({"model_type": "gpt_neo", "attention_types": [[["global"], 1000]] * 1000}, "attention_types has 1000 entries"),
        ({"model_type": "gpt_neo", "attention_types": [[["global"] * 1000, 9]]}, "attention_types has 1000 entries"),
        ({"model_type": "jamba", "num_hidden_layers": 99, "num_experts": 999} | TINY, "more parts than there are"),
        ({"layer_types": ["full_attention"] * 70_000}, "layer_types has 70000 entries"),
        ({"rope_parameters": {"repeats": 70_000}}, "repeats is 70000"),
    ],
)
def test_a_configuration_cannot_keep_the_machine_busy(
    artifacts: Artifacts, changed: dict[str, object], reason: str
) -> None:
    """Each would take a minute, or gigabytes, where all is built before it is compared with the weights."""
    weights = {name: array for name, array in artifacts.weights.items() if not name.startswith(ARRAYS)}
    with pytest.raises(ValueError, match=r"describes no causal|is \d|entries$") as refused:
        build(json.loads(artifacts.documents[CONFIG]) | changed, weights)
    assert reason in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize("numbers", [{"rope_theta": 1_000_000, "eos_token_id": [200_000]}, {"limits": [0.0, math.inf]}])
def test_sizes_and_ids_may_be_as_high_as_they_are(artifacts: Artifacts, numbers: dict[str, object]) -> None:
    config = json.dumps(json.loads(artifacts.documents[CONFIG]) | numbers)
    load_model("pretrained", SETTINGS, Artifacts(artifacts.weights, {CONFIG: config}))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "no JSON",
        "{}",
        "[" * 100_000,
        None,
        '{"a":' + "[" * 900 + "]" * 900 + "}",
        *('{"a":' * depth + "1" + "}" * depth for depth in (90, 500, 100_000)),
    ],
)
def test_a_damaged_configuration_is_refused(artifacts: Artifacts, content: str | None) -> None:
    with pytest.raises(FolderError, match=r"pretrained .*arrays"):
        load_model("pretrained", SETTINGS, Artifacts(artifacts.weights, {} if content is None else {CONFIG: content}))


def test_what_names_code_or_has_no_use_is_left_out(artifacts: Artifacts) -> None:
    named: dict[str, object] = {
        "auto_map": {"AutoModelForCausalLM": "code.Model"},
        "_attn_implementation": "stranger/kernel",
    }
    named |= {"quantization_config": {"quant_method": "x"}}
    many = {"num_labels": 1 << 40}  # transformers would make a name for each
    config = json.dumps(json.loads(artifacts.documents[CONFIG]) | named | many)
    load_model("pretrained", SETTINGS, Artifacts(artifacts.weights, {CONFIG: config}))


def test_a_window_beyond_the_positions_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(FolderError, match="window of 64"):
        load_model("pretrained", {"window": 64}, artifacts)


def test_arrays_that_do_not_fit_are_refused(artifacts: Artifacts) -> None:
    for name, value in artifacts.weights.items():
        if name == PREFIX:
            continue
        rest = {other: kept for other, kept in artifacts.weights.items() if other != name}
        wrong = [{}, {name: value[:-1]}, {name: value[..., None]}]
        wrong += (
            [{name: np.full_like(value, np.nan)}] if value.dtype.kind == "f" else [{name: -1 - value.astype(np.int64)}]
        )
        for instead in wrong:
            with pytest.raises(FolderError, match=r"pretrained .*arrays"):
                load_model("pretrained", SETTINGS, Artifacts({**rest, **instead}, artifacts.documents))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (SHARES, np.full(12, 2, np.float32)),
        (SHARES, np.full(12, -1, np.float32)),
        (SHARES, np.full(12, 0.5)),
        (PREFIX, np.array([SIZE])),
        (PREFIX, np.array([-1])),
        (PREFIX, np.array([SPACE, SPACE])),
        (TOKENS, np.full(14, 14, np.int32)),
    ],
)
def test_foreign_units_are_refused(artifacts: Artifacts, name: str, value: np.ndarray) -> None:
    with pytest.raises(FolderError, match=r"pretrained .*arrays"):
        load_model("pretrained", SETTINGS, Artifacts({**artifacts.weights, name: value}, artifacts.documents))

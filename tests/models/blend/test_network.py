"""The blend: its two sides agree, and no text is predicted from itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.language_model import Artifacts
from kammil.models.blend.experts import KeptCounts, NgramExperts, in_word
from kammil.models.blend.model import OWN, BlendModel, BlendSettings
from kammil.models.blend.network import BlendLearner, BlendNetwork, export, with_new_experts
from kammil.models.family import load_model
from kammil.ngrams.compression import pack as pack_table
from kammil.ngrams.count_table import CountTable
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, ExpertFeatures
from kammil.training.batches import make_rows, pad
from kammil.training.initial_weights import warm_start
from kammil.vocabulary import BOS, PAD, UNK, CharacterVocabulary

SETTINGS = BlendSettings(embedding=8, hidden=16, gate=8, kinds=("o1", "o2", "o5", "w", "w1"), history=("o2", "w"))
TWO = SETTINGS.model_copy(update={"networks": 2})
TEXTS = [
    "شو رأيك نطلع بكرا عالبحر؟",
    "شو رأيك نطلع بكرا عالجبل",
    "كيفك اليوم يا صديقي",
    "كيف الجو عندكن اليوم؟ 😂",
    "يلا نطلع نتمشى شوي",
    "hello, how are you today",
]


@pytest.fixture(scope="module")
def vocabulary() -> CharacterVocabulary:
    return CharacterVocabulary.from_texts(TEXTS)


def experts(
    vocabulary: CharacterVocabulary,
    train: list[str],
    *,
    kin: list[int] | None = None,
    background: list[str] | None = None,
    validation: list[str] | None = None,
    chosen: BlendSettings = SETTINGS,
) -> NgramExperts:
    return NgramExperts(
        [vocabulary.encode(text) for text in train],
        [vocabulary.encode(text) for text in validation or TEXTS],
        kin=list(range(len(train))) if kin is None else kin,
        background=[vocabulary.encode(text) for text in background or []],
        vocabulary=vocabulary,
        settings=chosen,
    )


def about(made: NgramExperts, vocabulary: CharacterVocabulary, texts: list[str], *, learning: bool) -> ExpertFeatures:
    rows = make_rows([vocabulary.encode(text) for text in texts], objective="text", block=512)
    return made.features(rows, pad(rows).inputs.shape[1], learning=learning)


def spelled(evidence: ExpertFeatures) -> dict[tuple[int, int], list[float]]:
    """Features by place and id."""
    return {
        (int(p), int(i)): [round(float(x), 5) for x in f]
        for p, i, f in zip(evidence.places, evidence.ids, evidence.scores, strict=True)
    }


@pytest.mark.parametrize("block", [512, 8])
def test_a_text_is_looked_up_in_the_other_texts(vocabulary: CharacterVocabulary, block: int) -> None:
    whole = experts(vocabulary, TEXTS)
    for number, text in enumerate(TEXTS):
        rest = experts(vocabulary, [other for other in TEXTS if other != text])
        for row in make_rows([vocabulary.encode(t) for t in TEXTS], objective="text", block=block):
            if row.text == number:  # the validation texts are the same ones, so its number fits there too
                width = len(row.ids) - 1
                seen, wanted = whole.features([row], width, learning=True), rest.features([row], width, learning=False)
                assert spelled(seen) == spelled(wanted)
                assert seen.gate == pytest.approx(wanted.gate, abs=1e-6)


def test_near_duplicates_are_left_out_together(vocabulary: CharacterVocabulary) -> None:
    train = [*TEXTS, TEXTS[2] + "!", TEXTS[2]]
    made = experts(vocabulary, train, kin=[0, 1, 2, 3, 4, 5, 2, 2])
    rest = experts(vocabulary, [text for i, text in enumerate(TEXTS) if i != 2])
    rows = make_rows([vocabulary.encode(text) for text in train], objective="text", block=512)
    validation = make_rows([vocabulary.encode(text) for text in TEXTS], objective="text", block=512)
    width = len(rows[2].ids) - 1
    assert spelled(made.features([rows[2]], width, learning=True)) == spelled(
        rest.features([validation[2]], width, learning=False)
    )
    assert made.features([rows[6]], width + 1, learning=True).places.size


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.lists(st.text("ab ", min_size=1, max_size=5), min_size=1, max_size=4), min_size=2, max_size=3),
    st.lists(st.integers(1, 40), min_size=3, max_size=3),
)
def test_a_group_of_any_size_is_left_out_whole(said: list[list[str]], sizes: list[int]) -> None:
    """What a text sees is what was counted without its group: of small groups, and of those counted once."""
    vocabulary = CharacterVocabulary("ab ")
    grouped = [[some[i % len(some)] for i in range(size)] for some, size in zip(said, sizes, strict=False)]
    train = [text for group in grouped for text in group]
    made = experts(vocabulary, train, kin=[number for number, group in enumerate(grouped) for _ in group])
    rows = make_rows([vocabulary.encode(text) for text in train], objective="text", block=512)
    first = 0
    for number, group in enumerate(grouped):
        others = [text for other in grouped[:number] + grouped[number + 1 :] for text in other]
        rest = experts(vocabulary, others, validation=group)
        own = rows[first : first + len(group)]
        first += len(group)
        width = max(len(row.ids) for row in own) - 1
        asked = make_rows([vocabulary.encode(text) for text in group], objective="text", block=512)
        seen, wanted = made.features(own, width, learning=True), rest.features(asked, width, learning=False)
        assert spelled(seen) == spelled(wanted)
        assert seen.gate == pytest.approx(wanted.gate, abs=1e-6)
        again = made.features(own, width, learning=True)
        assert spelled(again) == spelled(seen)


def test_while_learning_too_nothing_is_seen_that_the_budget_leaves_out(vocabulary: CharacterVocabulary) -> None:
    """The gate learns on what will be there: a kind of context that must have been seen n times has no rarer one."""
    kinds = len(SETTINGS.kinds)

    def totals(megabytes: float | None) -> np.ndarray:
        """How often each kind of context was seen, in the texts' own counts, (P, K)."""
        made = experts(vocabulary, TEXTS * 2, chosen=SETTINGS.model_copy(update={"megabytes": megabytes}))
        seen = about(made, vocabulary, TEXTS * 2, learning=True)
        return np.expm1(seen.gate.reshape(len(seen.gate), GATE_FEATURES, -1)[:, 0, :kinds]).round()

    whole, small = totals(None), totals(0.001)
    least = [min((n for n in column if n > 0), default=np.inf) for column in small.T]
    assert max(least) > 1
    assert (small == np.where(whole >= least, whole, 0)).all()
    assert (small < whole).any()


def test_padding_knows_nothing(vocabulary: CharacterVocabulary) -> None:
    seen = about(experts(vocabulary, TEXTS), vocabulary, TEXTS, learning=True)
    width = max(map(len, TEXTS)) + 1
    gate_features = seen.gate.reshape(len(TEXTS), width, GATE_FEATURES, -1)
    kinds = gate_features.shape[-1]
    for i, text in enumerate(TEXTS):
        assert (gate_features[i, len(text) + 1 :, [0, 1, 2, 4]] == 0).all()
        places = seen.places[seen.places // kinds // width == i] // kinds % width
        assert places.max() <= len(text)


def members(vocabulary: CharacterVocabulary, made: NgramExperts, count: int = 2) -> list[BlendNetwork]:
    """Networks over these experts, with different weights."""
    torch.manual_seed(0)
    networks = [BlendNetwork(vocabulary.size, made.count, SETTINGS).eval() for _ in range(count)]
    for network in networks:
        torch.nn.init.normal_(network.gate_out.weight, std=0.3)
    return networks


def test_a_text_of_a_base_is_not_looked_up_in_the_counts_that_are_kept(vocabulary: CharacterVocabulary) -> None:
    """They hold it, so they would predict it exactly, and the gate would trust them about all other texts."""
    table = experts(vocabulary, TEXTS[:3]).tables[OWN]
    kept = KeptCounts(table, pack_table(table, ""), [True, False])
    train = [vocabulary.encode(text) for text in (TEXTS[0], TEXTS[3])]
    own = NgramExperts(train, train, kin=[0, 1], background=[], vocabulary=vocabulary, settings=SETTINGS, kept=kept)
    rows = make_rows(train, objective="text", block=512)
    width = max(map(len, train)) + 1

    def found(*, learning: bool) -> list[bool]:
        """Which of the two texts meet a context in the kept counts."""
        places = own.features(rows, width, learning=learning).places
        kinds = len(SETTINGS.kinds)
        of_text = places[(places % own.count >= kinds) & (places % own.count < 2 * kinds)] // own.count // width
        return [text in of_text for text in (0, 1)]

    assert found(learning=True) == [False, True] and found(learning=False) == [True, True]


@pytest.mark.parametrize("background", [[], ["كيفك اليوم", "شو رأيك نطلع", "شو رأيك نطلع اليوم"]])
@pytest.mark.parametrize("count", [1, 2])
def test_the_two_sides_agree(vocabulary: CharacterVocabulary, background: list[str], count: int) -> None:
    """What members say together is the mean of their log-probabilities, normalised."""
    made = experts(vocabulary, TEXTS[:4], background=background)
    networks = members(vocabulary, made, count)
    settings = SETTINGS.model_copy(update={"networks": count})
    runner = load_model("blend", settings.model_dump(), Artifacts({**export(networks).weights, **made.arrays()}))
    rows = make_rows([vocabulary.encode(text) for text in TEXTS], objective="text", block=512)
    batch = pad(rows)
    seen = made.features(rows, batch.inputs.shape[1], learning=False)
    shown = [torch.from_numpy(a) for a in (batch.inputs, seen.gate, seen.places, seen.ids, seen.scores)]
    with torch.no_grad():
        outputs = [network(*shown) for network in networks]
    with_experts, alone = (
        torch.stack([part.log_softmax(-1) for part in parts]).mean(0).log_softmax(-1).numpy()
        for parts in ([logits for logits, _ in outputs], [taught[1][0] for _, taught in outputs])
    )
    ours, _ = runner.forward(batch.inputs, runner.initial_state(len(rows)))
    assert np.abs(with_experts - alone)[batch.counted].max() > 0.1  # the counts matter
    assert ours[batch.counted] == pytest.approx(with_experts[batch.counted], abs=0.02)  # half precision


def test_the_loss_at_birth_is_about_that_of_an_even_choice(vocabulary: CharacterVocabulary) -> None:
    torch.manual_seed(0)
    network = BlendNetwork(vocabulary.size, 5, SETTINGS).eval()
    ids = torch.randint(4, vocabulary.size, (8, 31))
    nothing = torch.zeros(0, dtype=torch.int64)
    gate_features = torch.zeros(8 * 30, GATE_FEATURES * 5)
    with torch.no_grad():
        logits, taught = network(ids[:, :-1], gate_features, nothing, nothing, torch.zeros(0, 2))
    assert torch.equal(logits, taught[1][0])  # experts that know nothing add nothing
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert float(nats) == pytest.approx(math.log(vocabulary.size), abs=0.15)


def test_words_are_letters_digits_marks_and_underscores() -> None:
    vocabulary = CharacterVocabulary("aب3_ َ.؟ #😂")
    inside = in_word(vocabulary)
    assert "".join(c for c, w in zip(vocabulary.characters, inside[4:], strict=True) if w) == "3_abبَ".replace("b", "")
    assert inside[UNK] and not inside[BOS]


@pytest.mark.parametrize("broken", ["output.bias", "gate_in.weight", "in_word", "counts.ids"])
def test_arrays_that_do_not_fit_are_refused(vocabulary: CharacterVocabulary, broken: str) -> None:
    made = experts(vocabulary, TEXTS)
    weights = {**export(members(vocabulary, made, 1)).weights, **made.arrays()}
    BlendModel(SETTINGS, weights)
    wrong = np.concatenate([weights[broken], weights[broken]]).astype(weights[broken].dtype)
    if broken == "counts.ids":
        wrong = weights["counts.counts"][:5]
    with pytest.raises(ValueError):
        BlendModel(SETTINGS, weights | {broken: wrong})


def test_a_context_with_more_followers_than_there_are_ids_is_refused(vocabulary: CharacterVocabulary) -> None:
    """Zeros compress well: a small folder could hold a context whose followers fill the memory when it is met."""
    made = experts(vocabulary, TEXTS)
    weights = {**export(members(vocabulary, made, 1)).weights, **made.arrays()}
    v = vocabulary.size
    for followers, fits in ((v, True), (v + 1, False)):
        ids = np.arange(followers, dtype=np.uint16) % v
        table = CountTable(np.array([7], np.uint32), np.array([followers]), np.array([0]), ids, np.ones_like(ids))
        arrays = weights | pack_table(table, "counts.")
        if fits:
            BlendModel(SETTINGS, arrays)
        else:
            with pytest.raises(ValueError, match="ids that the vocabulary has not"):
                BlendModel(SETTINGS, arrays)


@pytest.mark.parametrize("wider", [0, 5])
def test_a_network_goes_on_with_the_same_tables(vocabulary: CharacterVocabulary, wider: int) -> None:
    settings = SETTINGS.model_copy(update={"hidden": SETTINGS.hidden + wider})
    tables = experts(vocabulary, TEXTS)
    (before,) = members(vocabulary, tables, 1)
    after = BlendNetwork(vocabulary.size, tables.count, settings).eval()
    warm_start(after, vocabulary, {name: value.numpy() for name, value in before.state_dict().items()}, vocabulary)
    rows = make_rows([vocabulary.encode(text) for text in TEXTS], objective="text", block=512)
    batch = pad(rows)
    seen = tables.features(rows, batch.inputs.shape[1], learning=False)
    inputs = tuple(map(torch.from_numpy, (batch.inputs, seen.gate, seen.places, seen.ids, seen.scores)))
    with torch.no_grad():
        ours, theirs = after(*inputs)[0], before(*inputs)[0]
    assert ours[batch.counted].numpy() == pytest.approx(theirs[batch.counted].numpy(), abs=1e-5)


@pytest.mark.parametrize("wider", [0, 5])
def test_a_gate_goes_on_where_another_one_was(vocabulary: CharacterVocabulary, wider: int) -> None:
    """The other one's texts are the background now, and of its own texts the new one knows nothing yet."""
    settings = SETTINGS.model_copy(update={"hidden": SETTINGS.hidden + wider})
    old = experts(vocabulary, TEXTS)
    (before,) = members(vocabulary, old, 1)
    weights = {name: value.numpy() for name, value in before.state_dict().items()}
    new = experts(vocabulary, [""], background=[text for text in TEXTS for _ in range(2)])
    after = BlendNetwork(vocabulary.size, new.count, settings).eval()
    grown = with_new_experts(weights, settings, SETTINGS.model_copy(update={"networks": 3}), new.count)
    warm_start(after, vocabulary, grown, vocabulary)
    kinds = new.count - old.count
    with torch.no_grad():  # its own experts silenced
        after.gate_out.bias[: SCORE_FEATURES * kinds] = 0
        assert not after.gate_out.weight[: SCORE_FEATURES * kinds].any()
    rows = make_rows([vocabulary.encode(text) for text in TEXTS], objective="text", block=512)
    batch = pad(rows)
    seen = new.features(rows, batch.inputs.shape[1], learning=False)
    # What the background says, as the old model would have heard it: the new texts' experts are left out.
    kept = seen.places % new.count >= kinds
    gate_features = seen.gate.reshape(len(seen.gate), GATE_FEATURES, -1)[..., kinds:].reshape(len(seen.gate), -1)
    places = seen.places // new.count * old.count + seen.places % new.count - kinds
    with torch.no_grad():
        ours, _ = after(*map(torch.from_numpy, (batch.inputs, seen.gate, seen.places, seen.ids, seen.scores)))
        inputs = (batch.inputs, gate_features, places[kept], seen.ids[kept], seen.scores[kept])
        theirs, _ = before(*map(torch.from_numpy, inputs))
    assert ours[batch.counted].numpy() == pytest.approx(theirs[batch.counted].numpy(), abs=1e-4)


@pytest.mark.parametrize("background", [[], TEXTS[2:] * 2])
def test_one_text_alone_is_stepped_as_many_are_read(vocabulary: CharacterVocabulary, background: list[str]) -> None:
    """One row has a way of its own: nearly the same arithmetic, in another order."""
    made = experts(vocabulary, TEXTS[:4], background=background)
    runner = BlendModel(TWO, {**export(members(vocabulary, made)).weights, **made.arrays()})
    drawn = np.random.default_rng(0).integers(4, 12, (1, 300))  # few ids, so that much comes back; beyond the window
    for ids in (*(vocabulary.encode(text)[None] for text in TEXTS), drawn):
        full, end = runner.forward(ids, runner.initial_state(1))
        state = runner.initial_state(1)
        for t in range(ids.shape[1]):
            step, state = runner.step(ids[:, t], state)
            assert step == pytest.approx(full[:, t], abs=1e-4)
        for one, other in zip(state, end, strict=True):
            assert one.astype(np.float64) == pytest.approx(other.astype(np.float64), abs=1e-5)


def test_a_long_prompt_is_read_in_pieces(vocabulary: CharacterVocabulary) -> None:
    made = experts(vocabulary, TEXTS)
    weights = {**export(members(vocabulary, made, 1)).weights, **made.arrays()}
    runner = BlendModel(SETTINGS, weights)
    ids = np.random.default_rng(0).integers(4, vocabulary.size, (2, 600))
    full, end = runner.forward(ids, runner.initial_state(2))
    last, state = runner.forward(ids, runner.initial_state(2), last=1)
    assert last[:, 0] == pytest.approx(full[:, -1], abs=1e-5)
    for one, other in zip(end, state, strict=True):
        assert one.astype(np.float64) == pytest.approx(other.astype(np.float64), abs=1e-5)


@pytest.mark.parametrize("background", [[], ["كيفك اليوم", "شو رأيك نطلع", "شو رأيك نطلع اليوم"]])
def test_experts_and_network_make_up_the_model(vocabulary: CharacterVocabulary, background: list[str]) -> None:
    made = experts(vocabulary, TEXTS[:4], background=background)
    runner = BlendModel(TWO, {**export(members(vocabulary, made)).weights, **made.arrays()})
    assert len(runner.experts) == 1 + made.count + 1  # the network, and what is learnt
    ids = np.stack([np.concatenate([[BOS], vocabulary.encode(text)])[:18] for text in TEXTS])
    state = runner.initial_state(len(ids))
    for learnt in (False, True):
        if learnt:
            runner.learn(vocabulary.encode("شو رأيك بالبحر"))
        for begin, end in ((0, 7), (7, 8), (8, 18)):
            added, after = runner.expert_scores(ids[:, begin:end], state)
            log_probabilities, state = runner.forward(ids[:, begin:end], state)
            total = added.astype(np.float64).sum(axis=2)
            total -= np.log(np.exp(total).sum(axis=-1, keepdims=True))
            assert total == pytest.approx(log_probabilities, abs=1e-4)
            assert all((one == other).all() for one, other in zip(after, state, strict=True))
        state = runner.initial_state(len(ids))
    # An expert speaks for what it has seen follow, and for nothing else.
    runner.forget(vocabulary.encode("شو رأيك بالبحر"))
    rows = make_rows([vocabulary.encode(text) for text in TEXTS], objective="text", block=512)
    batch = pad(rows).inputs.astype(np.int64)
    seen = made.features(rows, batch.shape[1], learning=False)
    added, _ = runner.expert_scores(batch, runner.initial_state(len(batch)))
    places, followers = np.nonzero(added[:, :, 1:-1].reshape(-1, vocabulary.size))
    real = batch.reshape(-1)[places // made.count] != PAD
    assert set(zip(places[real].tolist(), followers[real].tolist(), strict=True)) == set(spelled(seen))


def test_blends_put_together_say_the_mean_of_what_they_say(vocabulary: CharacterVocabulary) -> None:
    made = experts(vocabulary, TEXTS)
    alone = [SETTINGS.model_copy(update={"networks": n, "dropout": n / 10}) for n in (1, 2)]
    arrays: list[dict[str, np.ndarray]] = []
    for own in alone:
        networks = members(vocabulary, made, own.networks)
        for network in networks:
            torch.nn.init.normal_(network.output.weight)
        arrays.append({**export(networks).weights, **made.arrays()})
    settings, artifacts = BlendLearner().merge([own.model_dump() for own in alone], arrays)
    assert settings == SETTINGS.model_copy(update={"networks": 3, "dropout": 0.1})
    ids = np.array([[BOS, *vocabulary.encode(TEXTS[0])]])
    one, two = (
        runner.forward(ids, runner.initial_state(1))[0].astype(np.float64)
        for runner in (BlendModel(own, theirs) for own, theirs in zip(alone, arrays, strict=True))
    )
    together = BlendModel(settings, artifacts.weights)
    mean = (one + 2 * two) / 3  # two members have two shares
    mean -= np.log(np.exp(mean).sum(-1, keepdims=True))
    assert together.forward(ids, together.initial_state(1))[0] == pytest.approx(mean, abs=2e-3)


@pytest.mark.parametrize(
    ("other", "texts", "why"),
    [
        ({"hidden": 24}, TEXTS, "sizes"),
        ({}, TEXTS[:-1], "different texts"),
        ({}, [*TEXTS, "شي جديد"], "different texts"),
    ],
)
def test_blends_that_do_not_fit_are_not_put_together(
    vocabulary: CharacterVocabulary, other: dict[str, int], texts: list[str], why: str
) -> None:
    settings = [SETTINGS, SETTINGS.model_copy(update=other)]
    counted = [experts(vocabulary, some) for some in (TEXTS, texts)]
    arrays = [
        {**export([BlendNetwork(vocabulary.size, made.count, own)]).weights, **made.arrays()}
        for own, made in zip(settings, counted, strict=True)
    ]
    with pytest.raises(ValueError, match=why):
        BlendLearner().merge([own.model_dump() for own in settings], arrays)

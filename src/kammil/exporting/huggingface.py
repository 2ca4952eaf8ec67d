"""Write a model as a checkpoint of Hugging Face's transformers, which loads it without code of ours.

The tokenizer of a Transformer is a byte-pair encoder without merges: every known character is a token, any other is
`<unk>`. A text that spells a special token is read as text (`split_special_tokens`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from kammil import model_folder as folders
from kammil.decoding.options import DecodingOptions
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.exporting.onnx import checked_weights
from kammil.language_model import CONFIG, TOKENIZER
from kammil.models.family import FAMILIES
from kammil.models.pretrained.model import ARRAYS, TokenUnits, without_code
from kammil.models.transformer.model import TransformerSettings, llama_config
from kammil.text import HANDLE, URL, TextRules
from kammil.vocabulary import BOS, EOS, PAD, UNK, CharacterVocabulary

Contents = tuple[Mapping[str, bytes], str | None]
"""Content of each file by name, and one sentence on what is missing, if anything."""

PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN = "<pad>", "<unk>", "<s>", "</s>"
"""Names of ids 0 to 3, as in Llama."""

_SPACE = r"[\t\n\x0B\f\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]"
_NOT_SPACE = _SPACE.replace("[", "[^")
_WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]"
_JOINER = r"[\u200C\u200D]"


def write(model: folders.ModelFiles, part: str, name: str) -> Contents:
    """Return the files of a checkpoint called `name`; `OptionError` for a family that does not fit."""
    contents = _fine_tuned(model, name) if CONFIG in model.artifacts.documents else _llama(model, name)
    if part != "all":
        raise OptionError(f"part is {part}, but only a blend has parts, and a checkpoint holds a whole model.")
    return contents


def _llama(model: folders.ModelFiles, name: str) -> Contents:
    family = model.description.family
    if family != "transformer":
        fits_onnx = family in FAMILIES and FAMILIES[family].onnx is None
        way_out = "export it with --format onnx" if fits_onnx else "train one with --model transformer"
        raise OptionError(
            f"a model of family {family} does not fit into hf: it is no Llama, as the transformer is; {way_out}."
        )
    settings = TransformerSettings.model_validate(model.description.settings)
    rules, vocabulary = TextRules.from_dict(model.description.rules), model.vocabulary
    contents = _contents(
        config=llama_config(vocabulary.size, settings) | {"torch_dtype": "float32"},
        tensors=checked_weights(model),
        tokenizer=tokenizer(vocabulary, rules),
        tokenizer_config={
            "pad_token": PAD_TOKEN,
            "unk_token": UNK_TOKEN,
            "bos_token": BOS_TOKEN,
            "eos_token": EOS_TOKEN,
            "model_max_length": settings.window,
            "padding_side": "left",
            "split_special_tokens": True,
            "clean_up_tokenization_spaces": False,
        },
        generation={
            "pad_token_id": PAD,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "suppress_tokens": list(vocabulary.unwritable),
        },
        card=_CARD.format(
            name=name,
            tag="- character-level\n",
            about="A Llama whose tokens are single characters, exported from Kammil to complete short texts.",
            prompt='"شو رأيك ", return_tensors="pt"',
            note=f"A text begins with `{BOS_TOKEN}`, which the tokenizer adds, and ends with `{EOS_TOKEN}`.\n"
            f"Keep texts within {settings.window} characters: beyond, the model in Kammil attends to the last "
            f"{settings.window} alone, and this one to all.",
            body=_body(model.card),
        ),
    )
    left = "the text rule numbers is not in the tokenizer: mask numbers in prompts yourself." if rules.numbers else None
    return contents, left


def _fine_tuned(model: folders.ModelFiles, name: str) -> Contents:
    documents, weights = model.artifacts.documents, model.artifacts.weights
    try:
        tokens = TokenUnits.from_arrays(weights).tokens
        config, table = without_code(model.artifacts.document(CONFIG)), model.artifacts.document(TOKENIZER)
        pieces = table["model"]["vocab"]
        by_id = (
            {id: piece for piece, id in pieces.items()}
            if isinstance(pieces, dict)
            else dict(enumerate(p[0] for p in pieces))
        )
        by_id |= {added["id"]: added["content"] for added in table["added_tokens"]}
        specials = {f"{end}_token": by_id[tokens[id][0]] for end, id in (("bos", BOS), ("eos", EOS), ("unk", UNK))}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FolderError(f"the tokenizer and the configuration of the model do not fit together ({error}).") from error
    contents = _contents(
        config=config,
        tensors={key: array for key, array in weights.items() if not key.startswith(ARRAYS)},
        tokenizer=documents[TOKENIZER],
        tokenizer_config=specials,
        generation={"bos_token_id": tokens[BOS][0], "eos_token_id": tokens[EOS][0]},
        card=_CARD.format(
            name=name,
            tag="",
            about="A causal language model that was fine-tuned with Kammil, exported as it was trained.",
            prompt='"شو رأيك", return_tensors="pt", add_special_tokens=False',
            note="A prompt must end with a whole token here; Kammil sums over the ways to cut it.",
            body=_body(model.card),
        ),
    )
    return contents, "the text rules of the model are not in its tokenizer: normalise prompts as its card says."


def _contents(
    *,
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.generic]],
    tokenizer: str,
    tokenizer_config: Mapping[str, Any],
    generation: Mapping[str, Any],
    card: str,
) -> dict[str, bytes]:
    usual = DecodingOptions()
    drawn = {"do_sample": True, "temperature": usual.temperature, "top_k": 0, "top_p": usual.top_p}
    return {
        "config.json": _json(config),
        "model.safetensors": save({name: np.ascontiguousarray(a) for name, a in tensors.items()}, {"format": "pt"}),
        "tokenizer.json": tokenizer.encode(),
        "tokenizer_config.json": _json({"tokenizer_class": "PreTrainedTokenizerFast", **tokenizer_config}),
        "generation_config.json": _json({**generation, **drawn, "max_new_tokens": usual.length}),
        "README.md": card.encode("utf-8", "replace"),
    }


def _body(card: str) -> str:
    return (card.partition("\n")[2] if card.startswith("# ") else card).strip()


_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- kammil
{tag}---

# {name}

{about}

## Run it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
prompt = tokenizer({prompt})
print(tokenizer.decode(model.generate(**prompt)[0], skip_special_tokens=True))
```

{note}

The rest is the card of the model in Kammil.

{body}
"""


def tokenizer(vocabulary: CharacterVocabulary, rules: TextRules) -> str:
    """Return a `tokenizer.json` that encodes a text as the vocabulary does after the rules.

    It lacks the rule `numbers` and one case of `invisible`: tag characters that spell no flag stay.
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    except ModuleNotFoundError as error:
        raise MissingExtraError("an export to hf needs tokenizers", "train") from error

    specials = (PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN)
    # A lone surrogate, which UTF-8 cannot hold, is named like `<U+D800>`.
    held = (f"<U+{ord(c):04X}>" if "\ud800" <= c <= "\udfff" else c for c in vocabulary.characters)
    table = {name: id for id, name in enumerate((*specials, *held))}
    made = Tokenizer(models.BPE(table, [], unk_token=UNK_TOKEN, fuse_unk=False))
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials])
    if steps := _normalizers(rules):
        made.normalizer = normalizers.Sequence(steps)
    made.post_processor = processors.TemplateProcessing(f"{BOS_TOKEN} $A", special_tokens=[(BOS_TOKEN, BOS)])
    made.decoder = decoders.Fuse()
    return made.to_str(pretty=True)


def _normalizers(rules: TextRules) -> list[Any]:
    """Return normalizers, in Oniguruma's syntax, that apply the rules in their order."""
    from tokenizers import Regex, normalizers

    def replace(pattern: str, by: str = "") -> Any:
        return normalizers.Replace(Regex(pattern), by)

    steps: list[Any] = []
    if rules.tatweel:
        steps.append(replace("\N{ARABIC TATWEEL}"))
    if rules.invisible:
        before, after = r"[\p{L}\p{M}\p{So}\p{Sk}]", r"[\p{L}\p{So}]"
        others = r"[[\p{Cc}\p{Cf}]&&[^\t\n\x0B\f\r\u0085\u200C\u200D\x{E0020}-\x{E007F}]]"
        steps.append(replace(rf"(?<!{before}){_JOINER}|{_JOINER}(?!{after})|{others}"))
    if rules.nfc:
        steps.append(normalizers.NFC())
    if rules.urls:
        steps.append(replace(rf"(?i:https?://|www\.){_NOT_SPACE}+", URL))
    if rules.handles:
        name = rf"(?:{_WORD}|[.+-])"
        steps.append(replace(rf"(?:(?<!{name})|\G){name}++@(?:{_WORD}|-)+(?:\.(?:{_WORD}|-)+)+", HANDLE))
        steps.append(replace(rf"(?<!{_WORD})(?:[@＠]{_WORD}+)+", HANDLE))
    if rules.spaces:
        steps += [replace(rf"{_SPACE}+", " "), replace(r"\A ")]
    return steps


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()

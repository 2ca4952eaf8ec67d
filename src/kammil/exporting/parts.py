"""Parts of a model that several formats need, checked."""

from __future__ import annotations

import numpy as np

from kammil import model_folder as folders
from kammil.engine.quantization import unpack
from kammil.errors import FolderError, OptionError
from kammil.models.registry import FAMILIES, load_model
from kammil.models.transformer.model import TransformerSettings
from kammil.ngrams.features import Floats
from kammil.vocabulary import SPECIALS, CharacterVocabulary

PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN = "<pad>", "<unk>", "<s>", "</s>"
"""Names of the special ids 0 to 3 in other programs, those of Llama."""


def checked_weights(model: folders.ModelFiles) -> dict[str, Floats]:
    """Return the weights of a network in single precision; `FolderError` where they do not fit its vocabulary."""
    language_model = load_model(model.description.family, model.description.settings, model.artifacts)
    if language_model.vocabulary_size != model.vocabulary.size:
        raise FolderError("weights.safetensors and vocabulary.json are of two models; copy the model folder again.")
    return {name: array.astype(np.float32, copy=False) for name, array in unpack(model.artifacts.weights).items()}


def llama_parts(model: folders.ModelFiles, format: str) -> tuple[TransformerSettings, dict[str, Floats]]:
    """Return settings and weights of a model that is a Llama; `OptionError` for any other, with the way out."""
    name = model.description.family
    if name != "transformer":
        fits_onnx = name in FAMILIES and FAMILIES[name].onnx is None
        way_out = "export it with --format onnx" if fits_onnx else "train one with --model transformer"
        raise OptionError(
            f"a model of family {name} does not fit into {format}: it is no Llama, as the transformer is; {way_out}."
        )
    weights = checked_weights(model)
    return TransformerSettings.model_validate(model.description.settings), weights


def token_names(vocabulary: CharacterVocabulary, unspellable: str = "") -> list[str]:
    """Return the text of every id for a table of tokens, (V,); all differ.

    Args:
        vocabulary: of the model.
        unspellable: characters that the format cannot hold. They, and lone surrogates, which UTF-8 cannot hold, are
            named by their number, such as `<U+D800>`: a name of several characters, which no text is encoded to.
    """

    def name(character: str) -> str:
        held = character not in unspellable and not "\ud800" <= character <= "\udfff"
        return character if held else f"<U+{ord(character):04X}>"

    specials = [PAD_TOKEN, UNK_TOKEN, BOS_TOKEN, EOS_TOKEN]
    assert len(specials) == SPECIALS
    return [*specials, *map(name, vocabulary.characters)]

"""Write a Transformer as one GGUF file, which llama.cpp and what is built on it run (`docs/export.md`).

GGUF names and stores the weights of a Llama in its own way: the two numbers of a rotary pair stand beside each other,
so the rows of queries and keys are reordered. Of llama.cpp's tokenizers `t5` is used, which has a token for unknown
characters: it searches the most probable cut into known pieces (a unigram model), and where all pieces are single
characters there is only one. It writes the space as U+2581, and one token for several unknown characters in a row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from kammil import model_folder as folders
from kammil.errors import MissingExtraError, OptionError
from kammil.exporting.parts import llama_parts, token_names
from kammil.models.transformer.model import EPSILON, THETA
from kammil.ngrams.features import Floats
from kammil.vocabulary import BOS, EOS, PAD, UNK

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""Stands for the space in tables of tokens."""


def write(model: folders.ModelFiles, part: str) -> tuple[bytes, str | None]:
    """Return the file of a model in single precision, and what is not in it; `OptionError` for another family."""
    settings, weights = llama_parts(model, "gguf")
    if part != "all":
        raise OptionError(f"part is {part}, but only a blend has parts, and this is a model of family transformer.")
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise MissingExtraError("an export to GGUF needs gguf", "gguf") from error

    tokens = token_names(model.vocabulary, f"\0{SPACE}")
    types = {PAD: gguf.TokenType.CONTROL, UNK: gguf.TokenType.UNKNOWN}
    types |= dict.fromkeys((*model.vocabulary.unwritable[3:], BOS, EOS), gguf.TokenType.CONTROL)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, settings.layers)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "model.gguf"
        w = gguf.GGUFWriter(file, "llama")
        w.add_vocab_size(len(tokens))
        w.add_context_length(settings.window)
        w.add_embedding_length(settings.width)
        w.add_block_count(settings.layers)
        w.add_feed_forward_length(settings.inner)
        w.add_head_count(settings.heads)
        w.add_head_count_kv(settings.heads)
        w.add_rope_dimension_count(settings.width // settings.heads)
        w.add_rope_freq_base(THETA)
        w.add_layer_norm_rms_eps(EPSILON)
        w.add_file_type(gguf.LlamaFileType.ALL_F32)
        w.add_tokenizer_model("t5")
        w.add_tokenizer_pre("default")
        w.add_token_list([SPACE if token == " " else token for token in tokens])
        w.add_token_scores([0.0] * len(tokens))
        w.add_token_types([types.get(id, gguf.TokenType.NORMAL) for id in range(len(tokens))])
        w.add_pad_token_id(PAD)
        w.add_unk_token_id(UNK)
        w.add_bos_token_id(BOS)
        w.add_eos_token_id(EOS)
        w.add_add_bos_token(True)
        w.add_add_eos_token(False)
        w.add_add_space_prefix(False)
        w.add_remove_extra_whitespaces(False)
        for name, array in weights.items():
            turned = name.endswith(("q_proj.weight", "k_proj.weight"))
            found = names.get_name(name, (".weight",))
            assert found is not None
            w.add_tensor(found, np.ascontiguousarray(pairs_beside(array, settings.heads) if turned else array))
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        return file.read_bytes(), None


def pairs_beside(weights: Floats, heads: int) -> Floats:
    """Reorder the rows of queries or keys (D, D): those of a rotary pair, (i, i + K / 2) of a head, to (2i, 2i + 1)."""
    return weights.reshape(heads, 2, -1, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)

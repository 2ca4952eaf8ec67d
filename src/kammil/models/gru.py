"""A gated recurrent network over characters: the notebook's model, with the decoder fed.

The idea: a hidden vector h is carried from character to character. At each step the network reads one character
and decides, number by number, how much of h to keep and how much to replace (Cho et al. 2014, "Learning Phrase
Representations using RNN Encoder-Decoder", arXiv:1406.1078); a linear layer then turns h into one score for each
character that could come next. Prompt and completion are one sequence, so there is no separate encoder and decoder:
the state after the prompt is where the completion starts, and every character that is produced, or, while learning,
the true one (teacher forcing), is read before the next one is scored.

Left out: several layers and bigger sizes (tiny data over-fit first), attention (a family of its own).

Shapes: B batch, T time, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from pydantic import Field
from torch import Tensor, nn

from kammil.models.base import Artifacts, Settings
from kammil.models.network import IDS, LAST, LOG_PROBABILITIES, STATE_IN, STATE_OUT
from kammil.vocabulary import PAD


class GRUSettings(Settings):
    """Sizes of the network; the defaults are the notebook's."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Numbers that stand for one character, E."""
    hidden: int = Field(default=256, ge=1, le=8192)
    """Numbers carried from step to step, H."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the hidden numbers set to zero while learning, before the output. Dropping embeddings as well costs
    about 0.06 bits a character at the same time: characters are few, and each must be read."""


class GRU(nn.Module):
    """Embedding, one GRU layer, linear output: `forward(ids: (B, T)) -> logits (B, T, V)`."""

    def __init__(self, vocabulary_size: int, embedding: int, hidden: int, dropout: float) -> None:
        """Set up the layers with PyTorch's own initial weights; the loss at birth is about ln V."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding, padding_idx=PAD)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary_size)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of what follows each position. Padding stands after the text, where no state can feel it."""
        x = self.embedding(ids)  # (B, T, E)
        h, _ = self.gru(x)  # (B, T, H)
        return self.output(self.dropout(h))  # (B, T, V)


def build(vocabulary_size: int, settings: GRUSettings) -> GRU:
    """A new network; PyTorch's global generator decides its weights."""
    return GRU(vocabulary_size, settings.embedding, settings.hidden, settings.dropout)


def export(model: GRU) -> Artifacts:
    """The weights as arrays, and the running side as an ONNX graph around ONNX's own GRU operator.

    The graph is written by hand: `torch.onnx` unrolls the recurrence, and a loop of single steps reads a prompt of 65
    characters three times slower than this one call.
    """
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}

    def gates(name: str) -> NDArray[np.float32]:
        """PyTorch stacks the gates reset, update, new; ONNX wants update, reset, new."""
        r, z, n = np.split(weights[name], 3)
        return np.concatenate([z, r, n])

    constants = {
        "embedding": weights["embedding.weight"],  # (V, E)
        "w": gates("gru.weight_ih_l0")[None],  # (1, 3H, E)
        "r": gates("gru.weight_hh_l0")[None],  # (1, 3H, H)
        "b": np.concatenate([gates("gru.bias_ih_l0"), gates("gru.bias_hh_l0")])[None],  # (1, 6H)
        "output": np.ascontiguousarray(weights["output.weight"].T),  # (H, V)
        "output_bias": weights["output.bias"],  # (V,)
        "zero": np.array([0]),
        "one": np.array([1]),
        "end": np.array([np.iinfo(np.int64).max]),
    }
    size, hidden = weights["output.weight"].shape
    nodes = [
        helper.make_node("Transpose", [IDS], ["ids_by_time"], perm=[1, 0]),  # (T, B)
        helper.make_node("Gather", ["embedding", "ids_by_time"], ["x"]),  # (T, B, E)
        helper.make_node("Unsqueeze", [STATE_IN.format(0), "zero"], ["h0"]),  # (1, B, H)
        helper.make_node(
            "GRU", ["x", "w", "r", "b", "", "h0"], ["h", "h_end"], hidden_size=hidden, linear_before_reset=1
        ),  # (T, 1, B, H), (1, B, H)
        helper.make_node("Squeeze", ["h_end", "zero"], [STATE_OUT.format(0)]),  # (B, H)
        helper.make_node("Squeeze", ["h", "one"], ["h_by_time"]),  # (T, B, H)
        helper.make_node("Neg", [LAST], ["from"]),
        helper.make_node("Slice", ["h_by_time", "from", "end", "zero"], ["h_last"]),  # (last, B, H)
        helper.make_node("MatMul", ["h_last", "output"], ["scores"]),  # (last, B, V)
        helper.make_node("Add", ["scores", "output_bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["by_time"], axis=-1),
        helper.make_node("Transpose", ["by_time"], [LOG_PROBABILITIES], perm=[1, 0, 2]),  # (B, last, V)
    ]
    number, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        nodes,
        "kammil-gru",
        [
            helper.make_tensor_value_info(IDS, whole, ["B", "T"]),
            helper.make_tensor_value_info(LAST, whole, [1]),
            helper.make_tensor_value_info(STATE_IN.format(0), number, ["B", hidden]),
        ],
        [
            helper.make_tensor_value_info(LOG_PROBABILITIES, number, ["B", "last", size]),
            helper.make_tensor_value_info(STATE_OUT.format(0), number, ["B", hidden]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # Operator set 17 and IR 8 are read by every ONNX Runtime since 1.12.
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return Artifacts(weights, proto.SerializeToString())

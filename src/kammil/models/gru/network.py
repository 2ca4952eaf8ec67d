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

from pydantic import Field
from torch import Tensor, nn

from kammil.language_model import Artifacts, Settings
from kammil.models.gru.backprop import gru_forward
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
        h = gru_forward(self.gru, self.embedding, ids)  # (B, T, H)
        return self.output(self.dropout(h))  # (B, T, V)


def build(vocabulary_size: int, settings: GRUSettings) -> GRU:
    """A new network; PyTorch's global generator decides its weights."""
    return GRU(vocabulary_size, settings.embedding, settings.hidden, settings.dropout)


def export(model: GRU) -> Artifacts:
    """The weights as arrays."""
    return Artifacts({name: value.detach().cpu().numpy() for name, value in model.state_dict().items()})

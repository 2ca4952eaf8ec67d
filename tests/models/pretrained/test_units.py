"""Tests of the configurations of pretrained models."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kammil.models.pretrained.model import without_code

DESCRIBES = {"model_type": "llama", "hidden_size": 64, "rope_scaling": {"factor": 2.0}}
NAMES_CODE = (
    "auto_map",
    "quantization_config",
    "_name_or_path",
    "dtype",
    "attn_implementation",
    "use_kernels",
    "num_labels",
)


def test_what_describes_a_model_stays_and_what_names_code_goes_at_any_depth() -> None:
    unsafe: dict[str, Any] = dict.fromkeys(NAMES_CODE, "x")
    assert without_code(DESCRIBES | unsafe) == DESCRIBES
    assert without_code({"text_config": DESCRIBES | unsafe}) == {"text_config": DESCRIBES}


@given(st.dictionaries(st.sampled_from([*DESCRIBES, *NAMES_CODE]), st.integers()))
def test_it_is_safe_once_and_for_all(config: dict[str, int]) -> None:
    once = without_code(config)
    assert without_code(once) == once == {name: value for name, value in config.items() if name in DESCRIBES}

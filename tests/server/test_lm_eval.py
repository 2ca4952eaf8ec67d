"""lm-eval computes the bits of the model. It is no dependency of Kammil, since it brings 400 MB of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.server.conftest import Running

from kammil.completion.completer import Completer

TASK = """
task: kammil_bits
dataset_path: json
dataset_kwargs:
  data_files: {test: TEXTS}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: bits_per_byte
metadata: {version: 1}
"""


@pytest.mark.skipif(
    shutil.which("lm_eval") is None, reason="lm_eval, of a Python of its own: pip install 'lm_eval[api]'"
)
def test_lm_eval_gives_the_bits_of_the_model(
    server: Running, bundled: Completer, texts: list[str], tmp_path: Path
) -> None:
    some = [bundled.normalise(text) for text in texts[:6]]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
    (tmp_path / "task.yaml").write_text(TASK.replace("TEXTS", str(tmp_path / "texts.jsonl")))
    arguments = f"model=levantine,base_url={server.url}/v1/completions,num_concurrent=2"
    offline = {"HF_HOME": str(tmp_path), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [
            *("lm_eval", "--model", "local-completions", "--model_args", arguments),
            *("--tasks", "kammil_bits", "--include_path", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | offline,
    )
    found = re.search(r"bits_per_byte\s*\|[^|]*\|\s*([\d.]+)", done.stdout)
    assert found, done.stderr
    bits = sum(sum(bundled.score(text).bits[:-1]) for text in some)
    assert float(found[1]) == pytest.approx(bits / sum(len(text.encode()) for text in some), abs=1e-3)

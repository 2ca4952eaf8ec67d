"""Every family on lev30 with equal time: the page, the figure and the results in docs/comparison.

Raw tweets, trained on lev30/train + lev30/train_other, chosen on validation, tested on lev30/test.
Run: `python benchmarks/families.py [--minutes M]` (needs arsentd-lev; half an hour on one core).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = """The texts are in this folder, `train`, `validation` and `test`,
each model in one of its own: its card says how it is made again."""
"""The sentence of a comparison's page about its own folder, which the copy in `docs` replaces."""
THERE = "`benchmarks/families.py` makes it: raw tweets, three minutes a family on one core."
RESULTS = Path(__file__).parent.parent / "docs" / "comparison"


def main() -> None:
    """Compare, and keep what there is to read; models stay where they were trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--out", type=Path, help="folder to work in; a second call goes on there")
    named = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out: Path = named.out or Path(folder) / "lev30"
        parts = ["--validation", "lev30/validation", "--test", "lev30/test"]
        command = ["compare", "lev30/train+lev30/train_other", *parts, "--raw", "--minutes", f"{named.minutes:g}"]
        subprocess.run([sys.executable, "-m", "kammil", *command, "--out", str(out)], check=True)
        RESULTS.mkdir(exist_ok=True)
        for name in ("README.md", "comparison.png", "results.json"):
            shutil.copy(out / name, RESULTS / name)
        page = (RESULTS / "README.md").read_text("utf-8")  # texts and models stay where they are
        (RESULTS / "README.md").write_text(page.replace(HERE, THERE), "utf-8")


if __name__ == "__main__":
    main()

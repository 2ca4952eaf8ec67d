"""Pack the messages whose ends are offered as phrases (`kammil.completion.stock_phrases`).

Run: `python recipes/phrases.py` (ten seconds). The messages of `messages/held-out` are left out.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from kammil.completion.stock_phrases import FILE, pack

MESSAGES = Path(__file__).parent / "messages"


def main() -> None:
    """Pack them."""
    files = [*sorted(MESSAGES.glob("*.txt")), *sorted((MESSAGES / "talk").glob("*.txt"))]
    messages = [line for file in files for line in file.read_text("utf-8").splitlines()]
    with resources.as_file(resources.files("kammil.completion") / FILE) as file:
        pack(messages, file)


if __name__ == "__main__":
    main()

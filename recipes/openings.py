"""Count with which words everyday messages open (`kammil.completion.word_list`).

An opening is a word that stands first in a message in at least `SHARE` of the places where it stands at all, and in at
least `COUNT` messages. So ما, من, لا and انا, which stand everywhere, are none, and شو, بدي and مرحبا are.

Run: `python recipes/openings.py > src/kammil/completion/openings.txt` (two seconds).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kammil.text import words

SHARE, COUNT = 0.29, 100
MESSAGES = Path(__file__).parent / "messages"


def main() -> None:
    """Count, print."""
    first, anywhere = Counter[str](), Counter[str]()
    for file in sorted(MESSAGES.glob("*.txt")):
        for line in file.read_text("utf-8").splitlines():
            found = [line[begin:end] for begin, end in words(line)]
            first.update(found[:1])
            anywhere.update(found)
    print(
        "# Words with which messages of recipes/messages open, and how many do: made by recipes/openings.py. CC0 1.0.\n"
    )
    for word, count in sorted(first.items(), key=lambda pair: (-pair[1], pair[0])):
        if count >= COUNT and count >= SHARE * anywhere[word]:
            print(word, count)


if __name__ == "__main__":
    main()

"""Files that are written for a test, and the sentence that reading one raises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kammil.data.sources import rows as read_rows
from kammil.errors import DataError

shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
ARABIC = "شو حلو الشعور لما تلاقي حدا بيفهمك\nكيفك اليوم يا زلمة، شو في ما في؟\n"
any_text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
word = "كلمة"  # in every table, so that its column never holds nothing but numbers or blanks


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sentence(path: Path, **options: str) -> str:
    with pytest.raises(DataError) as caught:
        read_rows(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 20
    return message

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kammil.data import download, sources
from kammil.data.datasets import CATALOG, Dataset, File
from kammil.errors import DataError

DATA = os.environ.get("KAMMIL_DATA_DIR")
needs_data = pytest.mark.skipif(DATA is None, reason="KAMMIL_DATA_DIR does not name the folder of corpora")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAMMIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KAMMIL_DATA_DIR", raising=False)
    return tmp_path / "cache"


@pytest.mark.parametrize("name", CATALOG)
def test_an_entry_is_complete(name: str) -> None:
    dataset = CATALOG[name]
    assert dataset.name == name
    assert dataset.files
    assert dataset.licence
    assert dataset.citation
    assert dataset.description
    assert (dataset.terms == "unstated") == dataset.licence.startswith("unstated")
    for file in dataset.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.url.startswith("https://raw.githubusercontent.com/")
        # The ending says how a file is read, which some addresses do not.
        assert Path(file.path).stem in file.url.rpartition("/")[2]
        assert Path(file.path).suffix in (".txt", ".tsv", ".csv")
    sums = [file.sha256 for dataset in CATALOG.values() for file in dataset.files]
    assert len(sums) == len(set(sums))


@needs_data
@pytest.mark.parametrize(
    ("name", "count", "row", "text"),
    [
        ("arsentd-lev", 4000, 1, "من الذاكره... @3FInQe . عندما اعتقد كريستيانو"),
        ("shami", 28_488, 0, "بقا بالوسايط و المحسوبيات"),  # and 3 blank lines
        ("arsarcasm-v2", 15_548, 0, '"د. #محمود_العلايلي:أرى أن الفريق'),
        ("atsad", 58_751, 28_902, "علييك الله قفل ميتينك ❤"),
    ],
)
def test_the_real_data_sets(
    name: str, count: int, row: int, text: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAMMIL_DATA_DIR", DATA or "")
    assert set(download.status(name).values()) == {"present"}
    texts = sources.texts(name)
    assert len(texts) == count
    assert texts[row].startswith(text)
    assert not cache.exists()


@needs_data
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("aoc-alghad", 30_297),
        ("abdullah-levantine", 12_298),
        ("dart-levantine", 3_939),
        ("cotterell-levantine", 6_403),  # and a blank cell
        ("nadi2021", 26_000),
        ("naous-levantine", 2_000),
    ],
)
def test_further_data_sets_where_they_are(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMMIL_DATA_DIR", DATA or "")
    if set(download.status(name).values()) != {"present"}:
        pytest.skip(f"{name} is not in KAMMIL_DATA_DIR")
    assert len(sources.texts(name)) == count


FORMATS = {
    "aoc-alghad": (
        ["الله يسلمك . . يا صاحبي ، شو صار ؟\nيلا يا شباب \\\n", "نشكر الكاتب على هذا المقال .\n"],
        ["الله يسلمك.. يا صاحبي، شو صار؟", "يلا يا شباب", "نشكر الكاتب على هذا المقال."],
    ),
    "abdullah-levantine": (["ما في حدا بالدار\nشكررا\n"], ["ما في حدا بالدار", "شكررا"]),
    "dart-levantine": (
        ['\ufeffscore(/3)\ttweet_Id\ttweet_text\n3\t12\tRT @a_b: شو "هالحكي" https://t.co/x\n2\t13\t@a @b عن جد؟\n'],
        ['شو "هالحكي"', "@a عن جد؟"],
    ),
    "cotterell-levantine": (
        ["label\ttext\nlevantine\t\nlevantine\tيلا &lt;3\n", "label\ttext\nlevantine\tشو بدك\n"],
        ["يلا <3", "شو بدك"],
    ),
    "nadi2021": (
        [
            "#1_tweetid\t#2_tweet\t#3_country_label\t#4_province_label\nTRAIN_0\tUSER شو هاد URL\tJordan\tjo_Irbid\n",
            "#1_tweetid\t#2_tweet\t#3_country_label\t#4_province_label\nDEV_0\tازيك\tEgypt\teg_Cairo\n",
        ],
        ["👤 شو هاد", "ازيك"],
    ),
    "naous-levantine": (
        ['\ufeffUtterance-LEV,Response-LEV,Utterance-EGY\nكيفك؟,منيح,ازيك؟\n"شو، وين رايح؟",عالدار,رايح فين\n'],
        ["كيفك؟", "منيح", "شو، وين رايح؟", "عالدار"],
    ),
}
"""Files in the format of those of a data set, and their texts."""


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_of_each_data_set_is_read_and_cleaned(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, texts = FORMATS[name]
    files = [
        replace(file, sha256=hashlib.sha256(content.encode()).hexdigest())
        for file, content in zip(CATALOG[name].files, contents, strict=True)
    ]
    monkeypatch.setitem(CATALOG, name, replace(CATALOG[name], files=tuple(files)))
    for file, content in zip(files, contents, strict=True):
        (cache / file.path).parent.mkdir(parents=True, exist_ok=True)
        (cache / file.path).write_text(content, "utf-8")
    assert sources.texts(name) == texts
    if name == "nadi2021":
        assert sources.texts(name, where="\"#3_country_label\" = 'Egypt'") == texts[1:]
    if name == "naous-levantine":
        assert sources.texts(name, column="Utterance-EGY") == ["ازيك؟", "رايح فين"]


def test_the_condition_must_select_a_row_in_one_of_the_files(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"1.tsv": b"neg\ta\nneg\tb\n", "2.tsv": b"pos\tc\n\npos\t \n"}
    files = tuple(File(name, "", hashlib.sha256(content).hexdigest()) for name, content in contents.items())
    monkeypatch.setitem(CATALOG, "pair", Dataset("pair", files, "", "", "", column="2"))
    cache.mkdir()
    for name, content in contents.items():
        (cache / name).write_bytes(content)
    assert sources.texts("pair") == ["a", "b", "c"]
    assert sources.texts("pair", where="\"1\" = 'pos'") == ["c"]
    with pytest.raises(DataError, match="selects no row"):
        sources.texts("pair", where="\"1\" = 'none'")
    with pytest.raises(DataError, match="names 'nope'"):
        sources.texts("pair", where="nope = 1")

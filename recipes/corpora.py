"""Sources of a corpus: their terms and dialects, where they lie, and how a text is read from their files."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from kammil.data import sources
from kammil.data.cleaning import CleaningRules
from kammil.data.datasets import CATALOG, Terms

PLAIN, SPACED = CleaningRules(), CleaningRules(punctuation=True)
_CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

Parser = Callable[[str, bytes], Iterable[str]]
"""Returns the texts of a file, from its path and its bytes."""


@dataclass(frozen=True)
class Source:
    """A corpus: its terms, its dialect, and where it lies."""

    terms: Terms = "unstated"
    dialect: str = "mixed"
    cleaning: CleaningRules = PLAIN
    repository: str = ""
    """Its repository on GitHub; "" where none is noted."""
    commit: str = ""
    paths: tuple[str, ...] = ()
    """Files and folders of the repository."""
    parse: Parser | None = None
    licence: str = ""
    """Licence of its texts, as stated where they lie; "" where its repository states none for them."""


# ---- formats


def lines(_: str, data: bytes) -> Iterable[str]:
    """Return the lines of a file."""
    return data.decode("utf-8-sig").split("\n")


def table(column: str, ending: str, where: str | None = None) -> Parser:
    """Return a parser of tables: one column, of the rows that meet a condition."""

    def parse(_: str, data: bytes) -> Iterable[str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"table{ending}"
            file.write_bytes(data)
            return sources.rows(file, column=column, where=where).texts

    return parse


def objects(key: str, condition: Callable[[dict[str, str]], bool]) -> Parser:
    """Return a parser of a JSON array: the value of a key, of the objects that meet a condition."""
    return lambda _, data: [row[key] for row in json.loads(data) if condition(row)]


def workbook(number: int) -> Parser:
    """Return a parser of Excel's .xlsx: a column of the first sheet, by its number from 0, without its first row."""

    def parse(_: str, data: bytes) -> Iterable[str]:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
            strings = ["".join(part.text or "" for part in item.iter(f"{_CELL}t")) for item in shared]
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        letter = chr(ord("A") + number)
        cells = [cell for cell in sheet.iter(f"{_CELL}c") if cell.get("r", "").rstrip("0123456789") == letter][1:]
        values = [(cell.get("t"), cell.findtext(f"{_CELL}v") or "") for cell in cells]
        return [strings[int(value)] if kind == "s" else value for kind, value in values]

    return parse


def archive(part: str) -> Parser:
    """Return a parser of .zip archives: the lines of the files whose path has `part` in it, in order of paths."""

    def parse(_: str, data: bytes) -> Iterable[str]:
        with zipfile.ZipFile(io.BytesIO(data)) as files:
            named = sorted(name for name in files.namelist() if part in name and not name.startswith("__MACOSX"))
            return [line for name in named for line in lines(name, files.read(name))]

    return parse


def reviews(condition: Callable[[str], bool]) -> Parser:
    """Return a parser of OMCCA's reviews, one a file: the body, of the cities that meet a condition."""

    def parse(_: str, data: bytes) -> Iterable[str]:
        review = ElementTree.fromstring(data)
        return [review.findtext("body") or ""] if condition(review.findtext("city") or "") else []

    return parse


# ---- sources

REGIONS = ("damascus", "syria", "beirut", "mountain", "amman", "jordan", "westbank", "galilee")
"""Regions whose dialects the messages of recipes/messages and its folder talk are in, a file for each."""
FRAMES = "frames"
"""Name of the source that recipes/frames.py writes out."""
LEVANT = ("Jordan", "Lebanon", "Palestine", "Syria")
JORDAN = ("amman", "irbid", "salt", "aqaba", "ajloun", "jarash", "petra", "zarqa")


def _in_jordan(city: str) -> bool:
    return any(name in city for name in JORDAN)


_PROJECT = ("d7miiZ/Dialect-Graduation-Project", "ff1e92111cdac83cface2e45cbffb4c3aa506371")


def _dialects(path: str, dialect: str, parse: Parser = lines, **more: CleaningRules) -> Source:
    """Return a source of the repository of dialect corpora that also holds several of the catalog."""
    return Source("unstated", dialect, more.get("cleaning", PLAIN), *_PROJECT, (f"code/data/{path}",), parse)


def _open(dialect: str, licence: str, repository: str, commit: str = "", cleaning: CleaningRules = PLAIN) -> Source:
    """Return a source with an open licence that is read from a folder of texts."""
    return Source("open", dialect, cleaning, repository, commit, licence=licence)


def _comments(part: str, dialect: str) -> Source:
    return _dialects(f"AOC-dialectal-annotations/{part}-segs.txt.norm", dialect, cleaning=SPACED)


def _dart(name: str, dialect: str) -> Source:
    return _dialects(f"DART/cf-data/{name}.txt", dialect, table("tweet_text", ".tsv"))


def _annotated(name: str, dialect: str) -> Source:
    return _dialects(f"annotated_data/{name}", dialect, table("text", ".tsv"))


_OMCCA = ("AhmedObaidi/omcca", "a319df77bec82442fda8f70b159cf72fdda0f89e", ("xml",))
_NADI = ("amurtadha/arabic-dialect-identification", "01b90262aaa29eeca227507a60beb2e7057db39a")
_SADID = ("we7el/SADID", "5fe1590ff8a7b3701b5b8ff7ade604cf72855e56")
_AJGT = ("komari6/Arabic-twitter-corpus-AJGT", "19f8d21a400ee23d519ee71c59e556687e72f927")
_SENTIMENT = ("motazsaad/arabic-sentiment-analysis", "5ea372acfec3")
_DIALOGUE = ("tareknaous/dialogue-arabic-dialects", "8174cd0024ba")
_EVENTS = ("rsuwaileh/IDRISI", "3dfd62d867b2")
_NADI_FILE, _SADID_FILE = ("datasets/Nadi/dev.json",), ("sadid-arabic-dialect-benchmark-dataset.zip",)

SOURCES: dict[str, Source] = {
    sources.SAMPLE: Source("open", "Levantine", licence="CC0-1.0"),
    "omcca_jeeran_jordan": Source("unstated", "Levantine", PLAIN, *_OMCCA, reviews(_in_jordan)),
    "omcca_jeeran_other": Source("unstated", "Gulf", PLAIN, *_OMCCA, reviews(lambda city: not _in_jordan(city))),
    "nadi_dev_levantine": Source(
        "unstated", "Levantine", PLAIN, *_NADI, _NADI_FILE, objects("text", lambda row: row["label"] in LEVANT)
    ),
    "nadi_dev_other": Source(
        "unstated", "mixed", PLAIN, *_NADI, _NADI_FILE, objects("text", lambda row: row["label"] not in LEVANT)
    ),
    "ajgt": Source("open", "Levantine", PLAIN, *_AJGT, ("AJGT.xlsx",), workbook(1), "AFL-3.0"),
    "sadid_levantine": Source("unstated", "Levantine", PLAIN, *_SADID, _SADID_FILE, archive("levantine")),
    "aoc_alghad_dialect": _comments("dialect_alghad", "Levantine"),
    "aoc_alghad_msa": _comments("MSA_alghad", "standard"),
    "aoc_youm7_dialect": _comments("dialect_youm7", "Egyptian"),
    "aoc_youm7_msa": _comments("MSA_youm7", "standard"),
    "aoc_alriyadh_dialect": _comments("dialect_alriyadh", "Gulf"),
    "aoc_alriyadh_msa": _comments("MSA_alriyadh", "standard"),
    "dart_lev": _dart("LEV", "Levantine"),
    "dart_egy": _dart("EGY", "Egyptian"),
    "dart_glf": _dart("GLF", "Gulf"),
    "dart_irq": _dart("IRQ", "Iraqi"),
    "dart_mgh": _dart("MGH", "Maghrebi"),
    "cotterell_levantine": _annotated("levantine", "Levantine"),
    "cotterell_egyptian": _annotated("egyptian", "Egyptian"),
    "cotterell_gulf": _annotated("gulf", "Gulf"),
    "cotterell_iraqi": _annotated("iraqi", "Iraqi"),
    "cotterell_maghrebi": _annotated("maghrebi", "Maghrebi"),
    **{
        f"{kind}_{region}": Source("open", "Levantine", licence="CC0-1.0")
        for kind in ("messages", "talk")
        for region in REGIONS
    },
    FRAMES: Source("open", "Levantine", licence="CC0-1.0"),
    # The sources below have no parser here: they are read from a folder of texts, whatever repository they are from.
    "d7_abdullah_lev": _open("Levantine", "ECL-2.0, of the repository", *_PROJECT),
    "d7_abdullah_glf": _open("Gulf", "ECL-2.0, of the repository", *_PROJECT),
    "naous_dialogue_lev": _open("Levantine", "MIT", *_DIALOGUE),
    "naous_dialogue_egy_gulf": _open("mixed", "MIT", *_DIALOGUE),
    "nadi2021_levantine": Source("unstated", "Levantine"),
    "nadi2021_other": Source("unstated", "mixed"),
    "emotional_tone_egy": Source("unstated", "Egyptian"),
    "khaled_egy_tweets40k": Source("unstated", "Egyptian"),
    "khaled_egy_reddit": Source("unstated", "Egyptian"),
    "khaled_egy_te": Source("unstated", "Egyptian"),
    "idat_irony": Source("unstated", "Egyptian"),
    "astd": Source("unstated", "Egyptian"),
    "marsa_gulf": Source("unstated", "Gulf"),
    "saudi_irony": _open(
        "Gulf", "CC0-1.0", "iwan-rg/Saudi-Dialect-Irony-Dataset", "c5320f185a57", CleaningRules(emoji_names=True)
    ),
    "motaz_saudi_hashtags": _open("Gulf", "Apache-2.0", _SENTIMENT[0]),
    "hafid_saudi_tweets": Source("unstated", "Gulf"),
    "aoc_alriyadh_raw": Source("unstated", "Gulf"),
    "asad_cleaned": Source("unstated", "mixed", CleaningRules(arabic_tokens=True)),
    "afrisenti_dz_ma": _open("Maghrebi", "CC-BY-4.0", "afrisenti-semeval/afrisent-semeval-2023", "5aec3cfcf87b"),
    "tundialect": Source("unstated", "Maghrebi"),
    "myc_youtube": Source("unstated", "Maghrebi"),
    "mac": Source("unstated", "Maghrebi"),
    "elecmorocco2016": Source("unstated", "Maghrebi"),
    "iraqi_ciad": _open("Iraqi", "CC0-1.0", "ebady/Iraqi-Arabic-Dialect-Dataset", "7ac618dd6663"),
    "elsahar_att": Source("unstated", "standard"),
    "idrisi_levant_events": _open("standard", "CC-BY-4.0", *_EVENTS),
    "idrisi_other_events": _open("standard", "CC-BY-4.0", *_EVENTS),
    "atsad_2018_more": _open("mixed", "Apache-2.0", *_SENTIMENT),
    "exaasc_test_replies": _open("mixed", "Apache-2.0", "exaco/exaasc", "344c68a5c560"),
    "mpold": _open(
        "mixed", "Apache-2.0", "shammur/Arabic-Offensive-Multi-Platform-SocialMedia-Comment-Dataset", "7c5a7d23ac03"
    ),
    "arabic_humor": _open("mixed", "CC-BY-4.0", "iwan-rg/Arabic-Humor", "33b194f4ef3b"),
    "isarcasm_ar": _open("mixed", "MIT", "iabufarha/iSarcasmEval", "dfc708b53bde"),
    "mentalqa_questions": _open("mixed", "MIT", "hasanhuz/MentalQA", "b2dc343879a2"),
}
"""Sources by name; a file NAME.txt of a folder is the source NAME. One without an entry has unstated terms."""


def described(name: str) -> Source:
    """Return the source of a name: an entry of `SOURCES`, a data set of the catalog, or one of unstated terms."""
    if name in CATALOG:
        dataset = CATALOG[name]
        owner, repository, commit = dataset.files[0].url.split("/")[3:6]
        place = f"{owner}/{repository}", commit
        return Source(dataset.terms, dataset.dialect, PLAIN, *place, licence=dataset.licence)
    return SOURCES.get(name, Source())

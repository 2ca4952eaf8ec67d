"""`recipes/gather.py` and its sources: formats, a clone and a folder, what is left out, the table that it writes."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpora
import gather
from kammil.data import audit, sources
from kammil.data.audit import keywords
from kammil.data.datasets import CATALOG

FOLDER = [
    "الله يسلمك يا صاحبي USER شو صار معك اليوم بالشغل",
    "الله يسلمك يا صاحبي USER شو صار معك اليوم بالشغل؟ URL",  # repeats the first
    "هاد نص بشبه نص من الفحص وما لازم يضل بين النصوص",
    "only Latin letters",
    "لا",
    "طول عمري بحب القهوة السادة مع الهيل",
]
HELD_OUT = "هاد نص بشبه نص من الفحص وما لازم يضل بين النصوص أبدا"


def workbook() -> bytes:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rows = '<row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    rows += '<row><c r="A2"><v>1</v></c><c r="B2" t="s"><v>2</v></c></row><row><c r="B3"><v>7</v></c></row>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        strings = "<si><t>ID</t></si><si><t>Feed</t></si><si><r><t>يا </t></r><r><t>هلا</t></r></si>"
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{strings}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>")
    return out.getvalue()


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"data/{name}.txt", content)
    return out.getvalue()


REVIEW = '<?xml version="1.0" ?><review><body>القهوة طيبة</body><city>{}</city></review>'


def in_jordan(row: dict[str, str]) -> bool:
    return row["label"] == "Jordan"


FORMATS: list[tuple[corpora.Parser | None, bytes, list[str]]] = [
    (corpora.lines, "\ufeffشو\nهلا".encode(), ["شو", "هلا"]),
    (corpora.table("text", ".tsv"), "label\ttext\nx\tشو\ny\tهلا\n".encode(), ["شو", "هلا"]),
    (corpora.table("text", ".tsv", "label = 'y'"), "label\ttext\nx\tشو\ny\tهلا\n".encode(), ["هلا"]),
    (
        corpora.objects("text", in_jordan),
        json.dumps([{"text": "شو", "label": "Jordan"}, {"text": "ازيك", "label": "Egypt"}]).encode(),
        ["شو"],
    ),
    (corpora.workbook(1), workbook(), ["يا هلا", "7"]),
    (corpora.archive("levantine"), zipped(b_levantine="ب", a_levantine="أ", english="x"), ["أ", "ب"]),
    (corpora.SOURCES["omcca_jeeran_jordan"].parse, REVIEW.format("amman").encode(), ["القهوة طيبة"]),
    (corpora.SOURCES["omcca_jeeran_other"].parse, REVIEW.format("amman").encode(), []),
    (corpora.SOURCES["omcca_jeeran_other"].parse, REVIEW.format("jeddah").encode(), ["القهوة طيبة"]),
]


@pytest.mark.parametrize(("parser", "data", "texts"), FORMATS)
def test_each_format_is_read(parser: corpora.Parser, data: bytes, texts: list[str]) -> None:
    assert list(parser("file", data)) == texts


def test_a_folder_becomes_a_table_without_what_is_held_out(tmp_path: Path) -> None:
    folder = tmp_path / "levantine"
    folder.mkdir()
    (folder / "ajgt.txt").write_text("\n".join(FOLDER), "utf-8")
    (folder / "unknown.txt").write_text('قال "طيب" ومشي\tعالبيت\n"كلها" بين قوسين"\n', "utf-8")
    (tmp_path / "test.txt").write_text(HELD_OUT, "utf-8")
    (tmp_path / "words.txt").write_text("قهوة\n", "utf-8")
    arguments = ["--folder", str(folder), "--exclude", str(tmp_path / "test.txt")]
    gather.main([*arguments, "--out", str(tmp_path / "all.tsv")])
    read = sources.rows(tmp_path / "all.tsv")
    assert list(zip(read.sources or (), read.texts, strict=True)) == [
        ("ajgt", "الله يسلمك يا صاحبي 👤 شو صار معك اليوم بالشغل"),
        ("ajgt", FOLDER[5]),
        ("unknown", 'قال "طيب" ومشي عالبيت'),
        ("unknown", '"كلها" بين قوسين"'),
    ]
    assert sources.rows(tmp_path / "all.tsv", where="dialect = 'Levantine' AND terms = 'open'").sources == ("ajgt",) * 2
    first = (tmp_path / "all.tsv").read_bytes()
    gather.main([*arguments, "--out", str(tmp_path / "all.tsv")])
    assert (tmp_path / "all.tsv").read_bytes() == first
    arguments += ["--terms", "open", "--without", str(tmp_path / "words.txt")]
    gather.main([*arguments, "--out", str(tmp_path / "open.tsv")])
    assert sources.texts(tmp_path / "open.tsv") == ["الله يسلمك يا صاحبي 👤 شو صار معك اليوم بالشغل"]


def test_sources_are_left_out_or_halved_and_offensive_texts_left_out(tmp_path: Path) -> None:
    texts = ["أول نص من خمسة", "تاني واحد بعدو", "يا حمار شو", "رابع شي بالملف", "خامس سطر وبس"]
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{text} {name}" for text in texts), "utf-8")
    arguments = ["--folder", str(tmp_path), "--exclude", "--skip", "one", "--half", "two", "--decent"]
    gather.main([*arguments, "--out", str(tmp_path / "out.tsv")])
    three = [f"{text} three" for text in texts if "حمار" not in text]
    assert sources.texts(tmp_path / "out.tsv") == [*three, f"{texts[1]} two", f"{texts[3]} two"]


def test_the_embedded_corpus_is_a_source_but_for_the_posts_that_the_lesson_tests_on(tmp_path: Path) -> None:
    gather.main(["--dataset", "sample", "--exclude", "--terms", "open", "--out", str(tmp_path / "out.tsv")])
    rows = sources.rows(tmp_path / "out.tsv")
    assert set(rows.sources or ()) == {"sample"}
    posts = sources.texts("sample")
    assert not set(rows.texts) & set(posts[-200:]) and len(rows.texts) > 900


def test_a_clone_is_read_at_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "corpus"
    clone.mkdir()

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        command = ["git", "-C", str(clone), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (clone / "a.txt").write_text("شو الأخبار . .\n", "utf-8")
    git("add", "-A")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    (clone / "a.txt").write_text("نص أحدث\n", "utf-8")
    git("commit", "-qam", "second")
    source = corpora.Source("open", "Levantine", corpora.SPACED, "owner/corpus", commit, ("a.txt",), corpora.lines)
    monkeypatch.setitem(corpora.SOURCES, "a", source)
    (read,) = gather.from_clones(tmp_path)
    assert read == ("a", ["شو الأخبار . .", ""])
    assert [text.text for text in gather.cleaned([read], frozenset({"open"}))] == ["شو الأخبار.."]
    assert list(gather.cleaned([read], frozenset({"unstated"}))) == []
    missing = corpora.Source(repository="o/corpus", commit="0" * 40, parse=corpora.lines)
    monkeypatch.setitem(corpora.SOURCES, "a", missing)
    with pytest.raises(SystemExit, match="does not give"):
        gather.main(["--clones", str(tmp_path), "--exclude", "--out", str(tmp_path / "x.tsv")])


def test_every_file_of_messages_is_a_source_of_open_terms() -> None:
    files = sorted((Path(__file__).parent.parent / "recipes" / "messages").glob("*.txt"))
    assert [file.stem for file in files] == sorted(f"messages_{region}" for region in corpora.REGIONS)
    for file in files:
        source = corpora.described(file.stem)
        assert (source.terms, source.dialect, source.licence) == ("open", "Levantine", "CC0-1.0")


def test_every_open_source_states_its_licence() -> None:
    named = [*corpora.SOURCES, *CATALOG]
    assert not [
        name for name in named if corpora.described(name).terms == "open" and not corpora.described(name).licence
    ]


# ---- words by which a source was collected


def test_of_one_source_alone_nothing_goes() -> None:
    assert gather.thinned(["المعرض"] * 900, ["a"] * 900) == list(range(900))


def test_every_fortieth_of_the_texts_with_a_keyword_of_40_percent_stays() -> None:
    texts = [f"معرض{i % 10} المعرض" if i < 200 else f"نص {i}" for i in range(500)] + [f"نص {i}" for i in range(500)]
    sources = ["a"] * 500 + ["b"] * 500
    assert gather.thinned(texts, sources) == [39, 79, 119, 159, 199, *range(200, 1000)]


def test_a_text_with_two_keywords_counts_for_the_larger() -> None:
    texts = ["الاولى الثانية"] * 100 + ["الاولى"] * 100 + ["نص"] * 300 + ["نص"]
    sources = ["a"] * 500 + ["b"]
    kept = gather.thinned(texts, sources)  # 200 texts, of which every 40th stays, whether it has one word or both
    assert kept == [39, 79, 119, 159, 199, *range(200, 501)]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["كلمات", "حروفنا", "نص"]), max_size=3)), max_size=40
    )
)
def test_only_texts_with_a_keyword_are_left_out(rows: list[tuple[str, list[str]]]) -> None:
    texts, sources = [" ".join(words) for _, words in rows], [source for source, _ in rows]
    held = audit.KEYWORD_TEXTS
    audit.KEYWORD_TEXTS = 1
    try:
        found = {(one.source, one.word): one for one in keywords(texts, sources)}
        kept = gather.thinned(texts, sources)
    finally:
        audit.KEYWORD_TEXTS = held
    assert kept == sorted(set(kept))
    for i, (text, source) in enumerate(zip(texts, sources, strict=True)):
        if not any((source, word) in found for word in text.split()):
            assert i in kept
    for source in "ab":
        every = {
            word: max(1, round(one.share / gather.KEYWORDS_KEPT)) for (s, word), one in found.items() if s == source
        }
        own = [set(texts[i].split()) & every.keys() for i in kept if sources[i] == source]
        assert sum(map(bool, own)) <= sum(one.texts // every[word] for (s, word), one in found.items() if s == source)
    for one in found.values():
        assert one.texts == sum(one.word in t.split() for t, s in zip(texts, sources, strict=True) if s == one.source)

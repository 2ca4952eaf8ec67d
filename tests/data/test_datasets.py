from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests import needs

from kammil.data import datasets, sources
from kammil.data.datasets import CATALOG, Dataset, DatasetFile
from kammil.errors import DataError

DATA = os.environ.get("KAMMIL_DATA_DIR")
needs_data = pytest.mark.skipif(DATA is None, reason=needs.CORPORA)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAMMIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KAMMIL_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
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
    assert set(datasets.status(name).values()) == {"present"}
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
    if set(datasets.status(name).values()) != {"present"}:
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
    files = tuple(DatasetFile(name, "", hashlib.sha256(content).hexdigest()) for name, content in contents.items())
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


# ---- downloads

CONTENT = "".join(f"سطر رقم {number}\n" for number in range(20_000)).encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Host:
    """Behaviour of a real server on this machine."""

    address: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    shift: int = 0  # added to the first byte of every range it answers
    cut: int | None = None  # bytes of an answer after which the line goes dead
    status: int = 200
    delay: float = 0.0  # seconds before an answer
    asked: list[str | None] = field(default_factory=list[str | None])  # the Range of each request
    codings: set[str | None] = field(default_factory=set[str | None])  # what the requests say they accept


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            host.asked.append(wanted)
            host.codings.add(self.headers["Accept-Encoding"])
            time.sleep(host.delay)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + host.shift if wanted and host.ranges else 0
            body = host.content[start:]
            if start and not body:
                self.send_error(416)
                return
            self.send_response(host.status if not start else 206)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(host.content) - 1}/{len(host.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if host.cut is None else body[: host.cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host.address = f"http://127.0.0.1:{server.server_port}/a/texts.txt"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield host
        server.shutdown()
        thread.join()


@pytest.fixture
def target(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the only file of the data set "local"."""
    file = DatasetFile("a/texts.txt", host.address, SHA256)
    monkeypatch.setitem(CATALOG, "local", Dataset("local", (file,), "CC0-1.0", "nobody", "numbered lines"))
    return cache / "a" / "texts.txt"


def part_of(target: Path) -> Path:
    return target.with_name("texts.txt.part")


def sentence() -> str:
    with pytest.raises(DataError) as caught:
        datasets.fetch("local")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_downloaded_once(host: Host, target: Path) -> None:
    assert datasets.status("local") == {"a/texts.txt": "absent"}
    assert datasets.fetch("local") == [target]
    assert target.read_bytes() == CONTENT
    assert datasets.status("local") == {"a/texts.txt": "present"}
    assert datasets.fetch("local") == [target]
    assert host.asked == [None]
    assert list(target.parent.iterdir()) == [target]
    assert sources.texts("local")[:2] == ["سطر رقم 0", "سطر رقم 1"]


def test_a_folder_can_be_given(host: Host, target: Path, tmp_path: Path) -> None:
    assert datasets.fetch("local", folder=tmp_path / "mine") == [tmp_path / "mine" / "a" / "texts.txt"]
    assert datasets.status("local", folder=tmp_path / "mine") == {"a/texts.txt": "present"}
    assert not target.exists()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cut", [0, 1, 1 << 16, len(CONTENT) - 1])
def test_a_download_that_was_cut_off_is_completed(host: Host, target: Path, cut: int, ranges: bool) -> None:
    host.cut, host.ranges = cut, ranges
    assert "goes on from there" in sentence()
    assert not target.exists()
    kept = part_of(target).read_bytes()
    assert CONTENT[:cut].startswith(kept)
    assert cut - len(kept) < 1 << 14  # the piece that was under way
    host.cut = None
    assert datasets.fetch("local") == [target]
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert host.asked == [None, f"bytes={len(kept)}-" if kept else None]
    assert host.codings == {"identity"}  # offsets into a compressed answer would not be offsets into the file


@pytest.mark.parametrize("kept", [b"", CONTENT[:1000]])
def test_an_address_that_gives_more_than_any_file_has_is_left(
    host: Host, target: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes
) -> None:
    monkeypatch.setattr(datasets, "_MAX_BYTES", len(CONTENT) - 1)
    if kept:
        target.parent.mkdir(parents=True)
        part_of(target).write_bytes(kept)
    assert f"{host.address} gave more than 0 MB" in sentence()
    assert list(target.parent.iterdir()) == []
    monkeypatch.setattr(datasets, "_MAX_BYTES", len(CONTENT))
    assert datasets.fetch("local") == [target]


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        (b"wrong", ["bytes=5-", None]),
        (CONTENT, [f"bytes={len(CONTENT)}-"]),  # whole, but not yet moved when the power went
        (CONTENT[:-1] + b"?", [f"bytes={len(CONTENT)}-", None]),
        (CONTENT + b"more", [f"bytes={len(CONTENT) + 4}-", None]),
    ],
)
def test_a_part_is_only_trusted_as_far_as_the_checksum(
    host: Host, target: Path, part: bytes, asked: list[str | None]
) -> None:
    target.parent.mkdir(parents=True)
    part_of(target).write_bytes(part)
    assert datasets.fetch("local") == [target]
    assert target.read_bytes() == CONTENT
    assert host.asked == asked


def test_a_range_that_was_not_asked_for_does_no_harm(host: Host, target: Path) -> None:
    target.parent.mkdir(parents=True)
    part_of(target).write_bytes(CONTENT[:100])
    host.shift = 7
    assert datasets.fetch("local") == [target]
    assert target.read_bytes() == CONTENT
    assert host.asked == ["bytes=100-", None]


# ---- what goes wrong


@pytest.mark.parametrize("status", [200, 206])  # a server may call the whole file a part that nobody asked for
def test_wrong_bytes_are_named_and_deleted(host: Host, target: Path, status: int) -> None:
    host.status = status
    host.content = b"something else"
    message = sentence()
    for part in (host.address, hashlib.sha256(host.content).hexdigest(), SHA256):
        assert part in message
    assert list(target.parent.iterdir()) == []


def test_an_address_that_is_gone(host: Host, target: Path) -> None:
    host.status = 404
    message = sentence()
    assert f"{host.address} could not be downloaded (HTTP 404)" in message
    assert message.endswith(f"put the file at {target}")


def test_no_network(host: Host, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound, not listening: every connection is refused
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/texts.txt"
        file = DatasetFile("a/texts.txt", address, SHA256)
        monkeypatch.setitem(CATALOG, "local", Dataset("local", (file,), "", "", ""))
        assert f"{address} could not be downloaded (the connection failed)" in sentence()


def test_a_server_that_says_nothing(host: Host, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kammil.data.datasets._TIMEOUT", 0.1)
    host.delay = 0.5
    assert "no answer within" in sentence()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the device that is always full")
def test_a_full_disk(host: Host, target: Path) -> None:
    target.parent.mkdir(parents=True)
    part_of(target).symlink_to("/dev/full")
    message = sentence()
    assert "no space left on the disk" in message
    assert "KAMMIL_CACHE_DIR" in message
    assert not target.exists()


def test_a_cache_that_cannot_be_written(target: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert f"{target} could not be written" in sentence()


def test_an_unknown_name() -> None:
    with pytest.raises(DataError, match=re.escape("'Shamy' (did you mean 'shami'?); the known ones are arsentd-lev,")):
        datasets.fetch("Shamy")
    for ask in (datasets.status, datasets.fetch):
        with pytest.raises(DataError, match="there is no data set 'zzz'; the known"):
            ask("zzz")


# ---- copies that are there already


def test_a_given_folder_is_used_in_place(
    host: Host, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given" / "a" / "texts.txt"
    given.parent.mkdir(parents=True)
    given.write_bytes(CONTENT)
    monkeypatch.setenv("KAMMIL_DATA_DIR", str(tmp_path / "given"))
    assert datasets.fetch("local") == [given]
    assert datasets.status("local") == {"a/texts.txt": "present"}
    assert host.asked == []
    assert not target.exists()

    given.write_bytes(b"other bytes")
    assert datasets.status("local") == {"a/texts.txt": "corrupt"}
    assert datasets.fetch("local") == [target]
    assert given.read_bytes() == b"other bytes"  # that folder is not ours to write to
    assert datasets.status("local") == {"a/texts.txt": "present"}


def test_a_damaged_file_in_the_cache_is_replaced(host: Host, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    assert datasets.status("local") == {"a/texts.txt": "corrupt"}
    assert datasets.fetch("local") == [target]
    assert target.read_bytes() == CONTENT

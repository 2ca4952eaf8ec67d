"""The page: no text is markup, nothing is asked for from elsewhere, and a screen reader finds its way."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.views.conftest import ParsedPage

from kammil.completion.explain import CharacterScore, Explanation
from kammil.text import visible
from kammil.views.heatmap import HeatMap
from kammil.views.page import DARK, LIGHT, Beside, Block, Code, Figure, Paragraph, Section, report
from kammil.views.tables import Table

HOSTILE = st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        "</style><img src=//evil.example/x onerror=alert(1)>",
        "{{ 7 * 7 }} {% raw %}",
        "\"' onmouseover='alert(1)",
        "<!--",
        "]]>&lt;&#x3c;b>",
        "\u202e شو\u2066 \0\r\n (x",
        "\ud800",
        "javascript:alert(1)",
    ]
) | st.text(st.sampled_from("<>&\"'{}%#@ (شوم\u064e\u202e👨\n"), min_size=1, max_size=30)


def sections_of(text: str) -> list[Section]:
    """Sections that hold a text in every place that a text can be in."""
    table = Table([text, text], [[text, text]], text, text, first=True)
    explanation = Explanation("", text, 1.0, tuple(CharacterScore(c, 1.0, 0.5, 1, (), ()) for c in [*text, ""]))
    blocks: list[Block] = [
        table,
        Table([text, text], [[text, text]], text, words=True, folded=True, printed=False),
        Beside([table]),
        Beside([Figure(text, "<svg></svg>")]),
        HeatMap(text, explanation, scale=True),
        Paragraph(text),
        Paragraph(text, warning=True),
        Code(text, "Command"),
    ]
    return [Section("one", "One", text, blocks)]


@settings(max_examples=80)
@given(text=HOSTILE)
def test_a_text_is_text_wherever_it_stands(text: str) -> None:
    document = ParsedPage(report(text, "report of a model", sections_of(text)))
    harmless = ParsedPage(report("a (b", "report of a model", sections_of("a (b")))
    plain = [(tag, sorted(attributes)) for tag, attributes in harmless.tags if tag != "span"]
    assert [(tag, sorted(attributes)) for tag, attributes in document.tags if tag != "span"] == plain
    assert document.texts["h1"] == [f"{visible(text)}: report of a model"]
    assert visible(text) in document.texts["caption"][0]
    assert document.texts["code"][0].split("\n") == [visible(line) for line in text.split("\n")]


def test_a_report_has_every_section_and_each_says_how_to_read_it(page: str) -> None:
    document = ParsedPage(page)
    assert document.attributes("section", "id") == [
        *("summary", "data", "split", "curves", "figures", "positions"),
        *("typing", "calibration", "slices", "completions", "surprise", "settings", "machine", "reproduce"),
    ]
    leads = [attributes for _, attributes in document.tags if attributes.get("class") == "lead"]
    assert len(leads) == len(document.texts["h2"])


def test_nothing_comes_from_elsewhere(page: str) -> None:
    document = ParsedPage(page)
    tags = {tag for tag, _ in document.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "audio"}
    for tag, attributes in document.tags:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "style", "xlink:href", "poster", "ping"}
        assert not any(name.startswith("on") for name in attributes)
        assert tag in ("a", "use") or "href" not in attributes
    assert all(target is not None and re.fullmatch("#[a-z-]+", target) for target in document.attributes("a", "href"))
    assert all(target is not None and target.startswith("#") for target in document.attributes("use", "href"))
    assert set(re.findall(r"url\(.", page)) <= {"url(#"}
    (style,) = document.texts["style"]
    assert "url(" not in style and "@import" not in style and "//" not in style
    assert "http:" not in page and "https:" not in page


def test_the_policy_allows_the_own_style_alone(page: str) -> None:
    document = ParsedPage(page)
    (policy,) = (a["content"] for _, a in document.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(document.texts["style"][0].encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    none = "'none'"
    assert rules == {"default-src": none, "style-src": f"'sha256-{digest}'", "base-uri": none, "form-action": none}
    kinds = [a.get("http-equiv") or a.get("charset") for tag, a in document.tags if tag == "meta"]
    assert kinds[:2] == ["utf-8", "Content-Security-Policy"], "what stands before a policy is not bound by it"


def test_headings_are_in_order_and_links_lead_somewhere(page: str) -> None:
    document = ParsedPage(page)
    levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [target for target in document.attributes("a", "href") if target] == [
        f"#{name}" for name in document.attributes("section", "id")
    ]


def test_tables_say_what_they_are_and_what_each_cell_belongs_to(page: str) -> None:
    document = ParsedPage(page)
    tables = page.count("<table")
    assert tables > 10 and tables == len(document.texts["caption"]) and all(document.texts["caption"])
    assert set(document.attributes("th", "scope")) == {"row", "col"} and all(document.texts["th"])
    assert all(document.attributes("svg", "aria-label")) and set(document.attributes("svg", "role")) == {"img"}


def test_words_of_arabic_are_whole_and_in_their_own_direction(page: str) -> None:
    document = ParsedPage(page)
    heat = [a for _, a in document.tags if a.get("class") == "heat"]
    assert len(heat) == 4 and all(a.get("dir") == "auto" for a in heat)
    assert all(a.get("dir") == "auto" for tag, a in document.tags if tag == "th")
    assert not re.search(r"[\u0621-\u064a]</span><span[^>]*>[\u0621-\u064a]", page)


def test_a_page_is_small(page: str) -> None:
    assert len(page.encode()) < 200_000


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_are_seen_in_both_themes(page: str) -> None:
    (style,) = ParsedPage(page).texts["style"]
    roots: list[Any] = re.findall(r":root \{([^}]*--ink[^}]*)\}", style)
    assert len(roots) == 2
    for root, levels in zip(roots, (LIGHT, DARK), strict=True):
        colours = {n: v if len(v) == 7 else "#" + "".join(c * 2 for c in v[1:]) for n, v in _variables(root).items()}
        paper = colours["paper"]
        for name in ("ink", "quiet", "mark", *(f"s{i}" for i in range(8))):
            assert contrast(colours[name], paper) >= 4.5, name
        assert contrast(colours["ink"], colours["warn"]) >= 4.5
        assert all(contrast(colours["ink"], shade) >= 4.5 for shade in levels)


def _variables(root: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", root))

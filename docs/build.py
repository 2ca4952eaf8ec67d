"""Build the documentation site into build/site, without a network: `python docs/build.py`, or `make docs`.

Pages are gathered first, into build/pages: those of docs/, the model cards, and every source
file that a page links to. So the site is complete by itself, and links lead to the same things as in the repository.
The two home pages have a field to type on, which the bundled model completes: its export, `try/`, is fetched when the
field is touched. Without builds of the engine for browsers, and zig to make them, there is none, and the build says so.
`--with mkdocs` builds with the Material theme of MkDocs in place of zensical.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kammil

ROOT = Path(__file__).resolve().parent.parent
DOCS, BUILD = ROOT / "docs", ROOT / "build"
TRIED = BUILD / "try"
ELSEWHERE = {
    "README.md": "index.md",  # what it says stands on the home page
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/kammil/pretrained/levantine/README.md": "models/levantine.md",
    "models/levantine-all/kammil_levantine_all/README.md": "models/levantine-all.md",
}
"""Pages that stand outside docs/: path in the repository -> path in the site."""
SHOWN = {".png", ".svg", ".jpg", ".gif", ".webp", ".html"}
"""Endings of what a browser shows as it is."""
ASSETS = ("icon.svg", "plex-arabic.woff2", "plex-arabic-OFL.txt")
"""Files of the playground that the site uses too."""
TRY = "<!-- a field to type on -->"
FIELD = """<div class="try">
<label for="try">{label}</label>
<kammil-text><textarea id="try" rows="3" dir="rtl" lang="ar" placeholder="صباح ال…"></textarea></kammil-text>
<p id="try-note">{note}</p>
</div>
<script>
document.getElementById("try").addEventListener("focus", ({{ target }}) => import("{place}try/kammil-text.js").then(
  () => target.parentElement.open(),
  () => (document.getElementById("try-note").textContent = "{failed}"),
), {{ once: true }});
</script>"""
WORDS = {
    "pages": {
        "place": "./",
        "label": "Type here, in Levantine Arabic, or in Latin letters (Arabizi).",
        "note": "The first touch fetches the model, 12 MB. What you type stays in this browser. "
        '<a href="try/index.html">The whole page</a>',
        "failed": "The model is read from a web server, not from the disk: python -m http.server -d build/site",
    },
    "pages-ar": {
        "place": "../",
        "label": "اكتب هنا، بالعربية أو بأحرف لاتينية (عربيزي).",
        "note": "عند أوّل لمسة يُحمَّل النموذج، وحجمه 12 ميغابايت. وما تكتبه يبقى في هذا المتصفّح. "
        '<a href="../try/index.html">الصفحة الكاملة</a>',
        "failed": "يُقرأ النموذج من خادم ويب، لا من القرص: python -m http.server -d build/site",
    },
}
LINK = re.compile(r"(\]\()((?!https?:|mailto:|#)[^)#\s]+)(#[^)\s]*)?(\))")
PER_CENT = re.compile(r"^(#.*)|(?<=\d) %", re.MULTILINE)  # no line may begin with it; headings keep their anchors
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".c": "c", ".js": "javascript", ".html": "html"}


def gather() -> None:
    """Write build/pages and build/pages-ar."""
    pages = {path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages = {source: page for source, page in pages.items() if not page.startswith("ar/")}
    pages |= {source: page for source, page in ELSEWHERE.items() if source != "README.md"}
    _gather(BUILD / "pages", pages, ELSEWHERE)
    ar = DOCS / "ar"
    arabic = {path.relative_to(ROOT).as_posix(): path.relative_to(ar).as_posix() for path in ar.rglob("*.md")}
    english = {source: f"../{page}" for source, page in (pages | {"README.md": "index.md"}).items()}
    _gather(BUILD / "pages-ar", arabic, english)
    for folder, out in ((DOCS, BUILD / "pages"), (ar, BUILD / "pages-ar")):
        for path in (folder / "lessons").rglob("*"):
            if path.suffix in SHOWN:  # figures that its pages hold without a link
                _write(out / path.relative_to(folder), path.read_bytes())


def _gather(out: Path, pages: dict[str, str], known: dict[str, str]) -> None:
    """Write pages and all they link to into a new folder; `known` are pages that need not be copied."""
    shutil.rmtree(out, ignore_errors=True)
    texts = {page: (source, (ROOT / source).read_text("utf-8")) for source, page in pages.items()}
    places = known | {source: page for page, (source, _) in texts.items()}
    for page, (source, text) in texts.items():
        field = FIELD.format(**WORDS[out.name]) if TRIED.is_dir() else ""
        _write(out / page, _linked(text.replace(TRY, field), source, page, places, out))
    for name in ASSETS:
        _write(out / "assets" / name, (ROOT / "src/kammil/views/playground" / name).read_bytes())
    _write(out / "assets" / "site.css", (DOCS / "assets" / "site.css").read_bytes())


def _linked(text: str, source: str, page: str, places: dict[str, str], out: Path) -> str:
    """A page's text with its links changed to where their targets stand in the site."""

    def place(match: re.Match[str]) -> str:
        before, target, anchor, after = match[1], match[2], match[3] or "", match[4]
        path = (ROOT / source).parent / target
        name = Path(os.path.normpath(path)).relative_to(ROOT).as_posix()
        if name not in places:
            places[name] = _copied(name, source, out)
        at = Path("/site", page).parent  # not below the folder where this runs: its name could be one of the site's
        relative = os.path.relpath(Path("/site", places[name]), at).replace(os.sep, "/")
        if places[name].startswith("../"):  # a page of the other language: as built
            relative = relative.removesuffix(".md") + (".html" if relative.endswith(".md") else "")
            relative = re.sub(r"README\.html$", "index.html", relative)
        return f"{before}{relative}{anchor}{after}"

    def prose(text: str) -> str:
        return PER_CENT.sub(lambda found: found[1] or "\u00a0%", LINK.sub(place, text))

    parts, end = [], 0
    for fence in FENCE.finditer(text):  # code is left as it is
        parts += [prose(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, prose(text[end:])])


def _copied(name: str, source: str, out: Path) -> str:
    """Copy a file that a page links to, a source as a page of its own; return its place in the site."""
    path = ROOT / name
    if not path.is_file():
        sys.exit(f"{source} links to {name}, which is no file.")
    if path.suffix == ".ipynb" or (path.suffix in SHOWN and name.startswith("docs/")):
        place = name.removeprefix("docs/").removeprefix("ar/") if name.startswith("docs/") else f"source/{name}"
        _write(out / place, path.read_bytes())
        return place
    text, longest = path.read_text("utf-8"), 200_000
    if len(text) > longest:
        text = text[:longest] + "\n...\n"
    fence = "`" * max(4, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    head = "---\nsearch:\n  exclude: true\n---\n\n"
    language = LANGUAGES.get(path.suffix, "text")
    _write(
        out / f"source/{name}.md", f"{head}# {path.name}\n\n`{name}`\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
    )
    return f"source/{name}.md"


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def build(program: str) -> None:
    """Build both languages, English first: it empties the folder."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    for config in ("mkdocs.yml", "mkdocs.ar.yml"):
        command = [sys.executable, "-m", program, "build", "-f", config, "--clean"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command[1:])} failed:\n{done.stdout}{done.stderr}")
    missing = BUILD / "site" / "ar" / "404.html"  # both programs take its folder for the host's root
    rooted = re.sub(r'((?:href|src)="|"base":")/', r"\1/ar/", missing.read_text("utf-8"))
    missing.write_text(rooted.replace("/ar/../", "/"), "utf-8")


def export() -> None:
    """Write what the field of the home pages needs."""
    shutil.rmtree(TRIED, ignore_errors=True)
    try:
        kammil.export("levantine", "web", TRIED)
    except kammil.KammilError as error:
        sys.stderr.write(f"The home pages have no field to type on: {error}\n")


def main() -> None:
    """Export and gather, then build."""
    export()
    gather()
    build("mkdocs" if sys.argv[1:] == ["--with", "mkdocs"] else "zensical")
    if TRIED.is_dir():
        shutil.copytree(TRIED, BUILD / "site" / "try")
    sys.stdout.write("build/site/index.html; to read it with its search: python -m http.server -d build/site\n")


if __name__ == "__main__":
    main()

"""A profile holds what was learnt and not forgotten, whoever wrote it, and no file of another kind."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import kammil
from kammil.completion import learning as profiles
from kammil.completion.learning import Profile
from kammil.data.blocklist import offensive_words, spellings
from kammil.errors import DataError, KammilError, OptionError

HEAD = b'{"kammil-profile": 1}\n'
TEXTS = st.text(st.sampled_from('شو رأيك\u0301\u2028\x85\n\r\t"\\\ud800🦊'), max_size=6)


def test_what_is_kept_is_what_was_learnt_and_not_forgotten(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "MAX_TEXTS", 5)
    monkeypatch.setattr(profiles, "MAX_TOTAL_CHARACTERS", 12)

    class Programs(RuleBasedStateMachine):
        """Two programs with one file, and what the file must hold."""

        @initialize()
        def begin(self) -> None:
            path = tmp_path_factory.mktemp("profiles") / "deep" / "me.jsonl"
            self.programs, self.path, self.texts = [Profile(path), Profile(path)], path, list[str]()

        @rule(which=st.integers(0, 1), texts=st.lists(TEXTS, max_size=3), data=st.data())
        def learn(self, which: int, texts: list[str], data: st.DataObject) -> None:
            instead_of = data.draw(st.lists(st.sampled_from([*self.texts, "لا"]), max_size=2))
            if not all(text.strip() for text in texts):
                with pytest.raises(OptionError, match="is empty"):
                    self.programs[which].learn(*texts, instead_of=instead_of)
                return
            for text in instead_of:
                if text in self.texts:
                    del self.texts[len(self.texts) - 1 - self.texts[::-1].index(text)]
            before = len(self.texts)
            self.texts += [text.strip() for text in texts]
            while len(self.texts) > 5 or sum(map(len, self.texts)) > 12:
                del self.texts[0]
            dropped = self.programs[which].learn(*texts, instead_of=instead_of)
            assert dropped == before + len(texts) - len(self.texts)

        @rule(which=st.integers(0, 1), data=st.data())
        def forget(self, which: int, data: st.DataObject) -> None:
            texts = data.draw(st.lists(st.sampled_from(self.texts) if self.texts else TEXTS, max_size=2))
            if Counter(map(str.strip, texts)) - Counter(self.texts):
                with pytest.raises(OptionError, match="was not learnt"):
                    self.programs[which].forget(*texts)
                return
            for text in texts:  # the one learnt last
                del self.texts[len(self.texts) - 1 - self.texts[::-1].index(text)]
            self.programs[which].forget(*texts)

        @rule(which=st.integers(0, 1))
        def wipe(self, which: int) -> None:
            self.programs[which].wipe()
            self.texts.clear()
            assert not list(self.path.parent.iterdir())

        @rule(torn=st.sampled_from([b'{"te', b'{"text": "\xd8', b"{"]))
        def crash(self, torn: bytes) -> None:
            """A program dies in the middle of a line."""
            if self.path.exists():
                with self.path.open("ab") as file:
                    file.write(torn)

        @invariant()
        def all_see_it(self) -> None:
            for program in [*self.programs, Profile(self.path)]:
                assert program.texts == tuple(self.texts)

    run_state_machine_as_test(Programs)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    profile = Profile(tmp_path / "me.jsonl")
    assert not profile.exists() and profile.texts == ()
    for change in (lambda: profile.learn("شو"), lambda: profile.learn("هلا"), lambda: profile.forget("شو")):
        change()
        assert profile.exists()
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert profile.path.read_bytes() == HEAD + '{"text": "هلا"}\n'.encode()


def test_a_full_disk_costs_no_text(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no bound on the size of files here")
    profile = Profile(tmp_path / "me.jsonl")
    profile.learn("شو", "هلا")
    before, (_, hard) = profile.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 9, hard))
    try:
        with pytest.raises(DataError, match="free some space"):
            profile.learn("هلا والله يا هلا", instead_of=["هلا"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert profile.path.read_bytes() == before and Profile(profile.path).texts == profile.texts == ("شو", "هلا")
    changes = profile.version
    profile.learn("هلا والله يا هلا", instead_of=["هلا"])
    assert profile.texts == ("شو", "هلا والله يا هلا") and profile.version == changes + 1  # in one write


def test_programs_that_learn_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.jsonl"
    code = f"""
import os, sys, time
from contextlib import contextmanager
from pathlib import Path
from kammil.completion.learning import Profile

@contextmanager
def alone():
    os.close(os.open(sys.argv[1] + ".alone", os.O_CREAT | os.O_EXCL))  # fails where somebody else is
    time.sleep(0.002)
    yield
    os.unlink(sys.argv[1] + ".alone")

class Slow(Profile):
    {
        "".join(
            f'''
    def {name}(self, what):
        with alone():
            super().{name}(what)
'''
            for name in ("_append", "_write")
        )
    }

p = Slow(sys.argv[1])
p.texts
print("ready", flush=True)
sys.stdin.readline()
for i in range(30): p.learn(f"{{sys.argv[2]}} {{i}}")
for i in range(0, 30, 10): p.forget(f"{{sys.argv[2]}} {{i}}")
"""
    with ExitStack() as stack:
        running = [stack.enter_context(program(code, path, name)) for name in "abc"]
        for process in running:
            tell(process)
        assert [process.wait() for process in running] == [0, 0, 0]
    for name in "abc":  # and each in its own order
        own_text = [text for text in Profile(path).texts if text.startswith(name)]
        assert own_text == [f"{name} {i}" for i in range(30) if i % 10]


def program(code: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """A program that has begun, and says so by a line."""
    command = [sys.executable, "-c", code, str(path), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def tell(program: subprocess.Popen[str]) -> None:
    """Let a program go on."""
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


def test_while_a_program_reads_and_writes_no_other_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_LOCK_SECONDS", 0.01)
    done: list[str] = []

    def alone(profile: Profile, act: str) -> None:
        with pytest.raises(DataError, match="another program has been writing"):
            Profile(profile.path).learn("from elsewhere")
        done.append(act)

    class Watched(Profile):
        def refresh(self) -> None:
            alone(self, "read")
            super().refresh()

        def _append(self, lines: bytes) -> None:
            alone(self, "append")
            super()._append(lines)

        def _write(self, texts: list[str]) -> None:
            alone(self, "write")
            super()._write(texts)

    profile = Watched(tmp_path / "me.jsonl")
    profile.learn("a")
    profile.learn("b")
    profile.forget("a")
    assert Profile(profile.path).texts == ("b",)
    assert " ".join(done) == "read write read append read write"
    Profile(profile.path).learn("at last")  # and then others can again


def test_a_program_that_dies_while_it_writes_leaves_the_turn_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "me.jsonl"
    Profile(path).learn("before")
    code = "import sys\nfrom kammil.completion.learning import Profile\n"
    code += "def stay(self, lines):\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    code += "Profile._append = stay\nProfile(sys.argv[1]).learn('never')"
    with program(code, path) as dying:
        dying.kill()
    Profile(path).learn("after")
    assert Profile(path).texts == ("before", "after")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"my diary\n", "is no profile"),
        (b"\xff\xfe\n", "is no profile"),
        (b"[" * 100_000, "is no profile"),
        (b'{"kammil-profile": 1, "more": 1}\n', "is no profile"),
        (b'{"kammil-profile": 2}\n', "format 2"),
        (b'{"kammil-profile": true}\n', "format True"),
        (HEAD + b'{"text": 3}\n', "line 2"),
        (HEAD + b'{"text": "a"}\n["b"]\n', "line 3"),
        (HEAD + b'{"text": ""}\n', "line 2"),
        (HEAD + b'{"text": "a", "n": 1}\n', "line 2"),
        (HEAD + b'{"text": "\xff"}\n', "line 2"),
        (HEAD + b'{"text": "' + b"a" * 5000 + b'"}\n', "line 2"),
        (HEAD + b"[" * 100_000 + b"\n", "line 2"),
        (HEAD + b" " * (17 << 20), "MiB"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_and_stays(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "me.jsonl"
    path.write_bytes(content)
    profile = Profile(path)
    calls: list[Callable[[], Any]] = [lambda: profile.texts, lambda: profile.learn("شو"), lambda: profile.forget("شو")]
    for call in calls:
        with pytest.raises(DataError, match=message):
            call()
    assert path.read_bytes() == content
    if content.startswith(HEAD) and "MiB" not in message:  # damaged, but ours
        profile.wipe()
        assert not path.exists()
    else:
        with pytest.raises(DataError, match=message):
            profile.wipe()
        assert path.read_bytes() == content
        assert "is no profile" not in message or list(tmp_path.iterdir()) == [path]  # no lock beside what is not ours


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(HEAD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "nowhere").symlink_to(tmp_path / "new")
    (tmp_path / "folder").mkdir()
    for profile in (Profile(tmp_path / name) for name in ("link", "nowhere", "folder")):
        calls: list[Callable[[], Any]] = [lambda p=profile: p.texts, lambda p=profile: p.learn("شو"), profile.wipe]
        for call in calls:
            with pytest.raises(DataError, match="a profile is a plain file"):
                call()
    assert (tmp_path / "real").read_bytes() == HEAD and not (tmp_path / "new").exists()
    for name in ("a\0b", "x" * 300, "real/me.jsonl"):
        with pytest.raises(KammilError, match="name another"):
            Profile(tmp_path / name).learn("شو")


def test_what_people_edit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "me.jsonl"
    path.write_bytes(HEAD.replace(b"\n", b"\r\n") + b'{"text": " a "}\r\n\r\n{"text": "\\u0628"}')
    profile = Profile(path)
    assert profile.texts == ("a", "ب")
    profile.learn("c")
    assert [json.loads(line)["text"] for line in path.read_bytes().splitlines()[1:]] == ["a", "ب", "c"]
    path.write_bytes(b"")
    assert profile.texts == ()
    profile.learn("شو")
    assert Profile(path).texts == ("شو",)


def test_the_file_stays_short_and_long_texts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_TEXTS", 3)
    profile = Profile(tmp_path / "me.jsonl")
    assert sum(profile.learn(str(n)) for n in range(40)) == 37
    assert profile.texts == ("37", "38", "39")
    assert len(profile.path.read_bytes().splitlines()) <= 7
    with pytest.raises(OptionError, match="at most 4,000"):
        profile.learn("a" * 4001)


def test_long_texts_never_make_a_file_that_is_too_large_to_read(tmp_path: Path) -> None:
    path, texts = tmp_path / "me.jsonl", ["😀" * 4_000] * 100
    for _ in range(12):  # 1.6 MB each time
        Profile(path).learn(*texts)
    assert Profile(path).texts == tuple(texts)


# ---- with a model

FolderOf = Callable[[str], Path]


def bits(model: kammil.Completer, text: str = "قطايف بالجوز والقشطة") -> tuple[float, ...]:
    return model.score(text).bits


def test_a_model_follows_the_profile(folder_of: FolderOf, tmp_path: Path) -> None:
    path, text = tmp_path / "me.jsonl", "قطايف بالجوز والقشطة"
    never = bits(kammil.load(folder_of("blend")))
    model = kammil.load(folder_of("blend"), profile=path)
    session = model.session()
    session.update("قطايف بالجو")
    assert bits(model) == never and not path.exists()
    first = session.complete(temperature=0, length=1).bits
    model.learn(f" {text}\n")
    assert sum(bits(model)) < sum(never)
    assert session.complete(temperature=0, length=1).bits != first
    once = bits(model)
    reopened = kammil.load(folder_of("blend"), profile=str(path))  # as any program that opens it later
    assert bits(reopened) == once
    reopened.learn(text)
    assert sum(bits(reopened)) < sum(once) and bits(model) == bits(reopened)
    model.forget("قطايف بالجـوز والقشطة")  # the model sees it as the same text
    assert bits(model) == bits(reopened) == once
    Profile(path).wipe()
    assert bits(model) == bits(reopened) == never
    assert session.complete(temperature=0, length=1).bits == first
    with pytest.raises(OptionError, match="was not learnt"):
        model.forget(text)


@pytest.mark.parametrize("profile", [None, "me.jsonl"])
@pytest.mark.parametrize("forked", [False, True])
def test_what_is_forgotten_in_another_spelling_leaves_nothing(
    folder_of: FolderOf, tmp_path: Path, profile: str | None, forked: bool
) -> None:
    never = kammil.load(folder_of("blend"))
    model = kammil.load(folder_of("blend"), profile=profile and tmp_path / profile)
    word = spellings(offensive_words().entries[0])[0]
    typed = [f"زقفـطلون {word}", f"زقفطلون {word}", f"زقفطلـون {word}"]  # one text to the model, three to people
    for text in typed:
        model.learn(text)
    model = model.fork(learnt=True) if forked else model
    assert model.user_allowed_words and "زقفطلون" in [one.text for one in model.suggest("", 5)]
    for text in (typed[1], typed[1], f"زقـفطلون {word}"):
        model.forget(text)
    assert model.suggest("", 32) == never.suggest("", 32)
    assert not model.user_allowed_words
    with pytest.raises(OptionError, match="was not learnt"):
        model.forget(typed[0])


def test_many_texts_are_learnt_as_one_by_one(folder_of: FolderOf, tmp_path: Path, texts: list[str]) -> None:
    profile = Profile(tmp_path / "me.jsonl")
    profile.learn(*texts[300:340], texts[300])
    at_once, one_by_one = kammil.load(folder_of("blend"), profile=profile), kammil.load(folder_of("blend"))
    for text in profile.texts:
        one_by_one.learn(text)
    assert bits(at_once, texts[310]) == bits(one_by_one, texts[310])
    for text in texts[305:340]:  # those that were learnt at once, too
        at_once.forget(text)
        one_by_one.forget(text)
    assert bits(at_once, texts[310]) == bits(one_by_one, texts[310])
    for text in (*texts[300:305], texts[300]):
        at_once.forget(text)
    assert bits(at_once, texts[310]) == bits(kammil.load(folder_of("blend")), texts[310])


def test_a_model_that_cannot_learn_takes_no_profile(folder_of: FolderOf, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="train one with --model blend"):
        kammil.load(folder_of("ngram"), profile=tmp_path / "me.jsonl")
    (tmp_path / "me.jsonl").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is no profile"):
        kammil.load(folder_of("blend"), profile=tmp_path / "me.jsonl")


UNRELATED = {
    "Arab": (
        "حضرة المدير المحترم |قديش سعر |الطقس اليوم |مبروك |عظم الله |كيف |بدي اشتري |صباح |شكرا |المحاضرة |فاتورة |"
        "عيد |الامتحان |وين اقرب |سيارة |الماتش |طبخة |السلام "
    ),
    "Latin": (
        "Dear Sir, |The price of |The weather today |Happy birthday |Thank you for |Please find |I would like |sho |"
        "keef |kam se3r |el taqs elyom |mabrook |badi eshtri |saba7 |shukran |el mo7adara |wein agrab |tab5et el"
    ),
}
"""Eighteen beginnings that name nobody, in each script."""


def test_a_learnt_name_is_suggested_in_new_sentences_and_nowhere_else() -> None:
    model, name = kammil.load().fork(), "رودي"
    texts = ["رودي جاي بكرا عالغدا", "حكيت مع رودي مبارح", "وين رودي؟", "رودي ما رد علي", "شفت رودي بالسوق"]
    begun = ["وصل رو", "اشتقت ل رو", "اليوم عيد ميلاد رو", "سلملي ع رو"]
    unrelated = UNRELATED["Arab"].split("|")

    def listed(prompts: list[str]) -> list[bool]:
        return [name in [suggestion.text for suggestion in model.suggest(prompt)] for prompt in prompts]

    assert not any(listed(begun))
    for text in texts:
        model.learn(text)
    assert all(listed(begun)) and not any(listed(unrelated))
    for text in texts:
        model.forget(text)
    assert not any(listed(begun))


@pytest.mark.parametrize(
    ("writer", "script", "before", "names"),
    [
        ("beekeeper", "Arab", "وصل ", "جومانا ريتا وسيم"),
        ("cooperative", "Arab", "وصل ", "ماهر سهاد"),
        ("recruiter", "Latin", "وصل ", "Karim Nuwwar Mishmish"),  # mixes English
        ("soundguy", "Arab", "وصل ", "تمارا ماريا"),  # mixes English
        ("diver", "Latin", "shuft ", "Laith Saif Morjan"),  # Arabizi
        ("florist", "Latin", "shefet ", "Georges Zeina Mimosa"),  # Arabizi
    ],
)
def test_names_of_a_writer_come_after_two_letters_and_neither_leak_nor_stick(
    writer: str, script: str, before: str, names: str
) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "writers" / f"{writer}.txt"
    texts = path.read_text("utf-8").splitlines()
    model = kammil.load().fork()

    def listed() -> list[str]:
        found = [(name, model.suggest(before + name[:2])) for name in names.split()]
        return [name for name, words in found if name in [word.text for word in words]]

    assert listed() == []
    for text in texts:
        model.learn(text)
    assert listed() == names.split()
    for some in UNRELATED.values():
        prompts = some.split("|")
        shown = [word.text for prompt in prompts for word in model.suggest(prompt)]
        assert len(prompts) == 18 and not [word for word in shown for name in names.split() if name in word]
    assert not [
        name for prompt in UNRELATED[script].split("|") for name in names.split() if name in model.phrase(prompt).added
    ]
    for text in texts:
        model.forget(text)
    assert listed() == []


PLAIN = [
    "القهوه جاهزه والبسكوت عالطاوله",
    "الصوره حلوه كتير",
    "رايحه شوف الشقه الجديده اذا فاضيه",
    "السياره قدام البنايه",
]
BEGUN = [
    "",
    "وصلت عالمدرس",
    "بدي ",
    "انا ",
    "الغرف",
    "شو ا",
    "كانت الرحل",
    "القهو",
    "عم اشرب القهوه",
    "اجيت لعندك اذا ",
]
Shown = tuple[list[str], str, str, str]


def shown(model: kammil.Completer, prompt: str) -> Shown:
    listed = [suggestion.appended_to(prompt) for suggestion in model.suggest(prompt, 12)]
    drawn = model.complete(prompt, preset="plain", seed=1), model.complete(prompt, preset="sensible", seed=1)
    return listed, prompt + model.phrase(prompt).added, drawn[0].whole, drawn[1].whole


def is_careful(texts: Shown, letters: str) -> bool:
    return any(letter in text for text in [*texts[0], *texts[1:]] for letter in letters)


def test_who_spells_plainly_is_offered_plain_spellings() -> None:
    model = kammil.load().fork()
    before = [shown(model, prompt) for prompt in BEGUN]
    assert sum(is_careful(texts, "ة") for texts in before) > len(BEGUN) / 2
    assert any(is_careful(texts, "أإ") for texts in before)
    for text in PLAIN:
        model.learn(text)
    after = [shown(model, prompt) for prompt in BEGUN]
    assert not any(is_careful(texts, "ةأإآ") for texts in after)
    for prompt, texts in zip(BEGUN, after, strict=True):
        assert len({*texts[0]}) == len(texts[0]) and prompt not in texts[0]
        assert all(text.startswith(prompt) for text in texts[1:])
        assert "".join(model.stream(prompt, preset="plain", seed=1)) == texts[2][len(prompt) :]
    assert [kammil.load().reading("mabsuta ")[0], model.reading("mabsuta ")[0]] == ["مبسوطة ", "مبسوطه "]
    private, shared = model.fork(learnt=True), kammil.load().fork()
    assert shown(private, BEGUN[1]) == after[1]
    shared.fix_own_phrases()  # by several writers
    for text in PLAIN:
        shared.learn(text)
        model.forget(text)
    assert [shown(model, prompt) for prompt in BEGUN] == before
    assert is_careful(shown(shared, BEGUN[1]), "ة")


def test_a_text_and_a_call_may_be_spelled_otherwise() -> None:
    model, careful = kammil.load().fork(), kammil.load().fork()
    for text in PLAIN:
        model.learn(text)
        careful.learn(text.replace("ه", "ة"))
    for taught in (model, careful):
        assert is_careful(shown(taught, "القهوة جاهزة والبسكوت عالطاول"), "ة")  # as the text does
    assert not is_careful(shown(model, "وصلت عالمدرس"), "ة") and is_careful(shown(careful, "وصلت عالمدرس"), "ة")
    for forbid in ("مدرسه", "مدرسة"):  # is never written, in whatever spelling the model has it
        texts = [one.text for one in model.suggest("وصلت عالمدرس", 12, forbid=[forbid])]
        texts += [model.complete("وصلت عال", seed=seed, forbid=[forbid]).whole for seed in range(5)]
        assert not any(
            forbid in text for text in [*texts, "عالمدرس" + model.phrase("وصلت عالمدرس", forbid=[forbid]).added]
        )


@pytest.mark.parametrize(
    ("careful", "others", "is_plain"), [(0, 12, True), (0, 11, False), (1, 18, False), (1, 19, True)]
)
def test_a_spelling_counts_from_a_few_letters_on(careful: int, others: int, *, is_plain: bool) -> None:
    learning = profiles.Adaptation(kammil.load().fork().language_model, kammil.load().vocabulary.encode)
    for letters in ("ة" * careful, "ه" * others):
        if letters:
            learning.learn(letters)
    assert ("ة" in learning.unused) == is_plain


def test_what_a_fork_learns_changes_no_other_and_nothing_is_left_of_forgotten_words() -> None:
    base, first, other = kammil.load().fork(), PLAIN[0], "وين زقفطلون"
    base.learn(first)
    before, fork = [shown(base, prompt) for prompt in BEGUN], base.fork(learnt=True)
    for text in PLAIN:
        fork.learn(text)
    base.learn(other)
    base.forget(other)
    assert [shown(base, prompt) for prompt in BEGUN] == before and base.learnt_texts == (first,)
    assert base._adaptation.unused == frozenset() != fork._adaptation.unused  # pyright: ignore[reportPrivateUsage]
    assert fork.learnt_texts[-1] == PLAIN[-1] and len(fork.learnt_texts) == len(PLAIN) + 1
    base.forget(first)
    assert not base._adaptation.first_words  # pyright: ignore[reportPrivateUsage]

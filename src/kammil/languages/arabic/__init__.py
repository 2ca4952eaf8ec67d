"""Arabic: Levantine first, then standard Arabic and other dialects, in Arabic and in Latin letters."""

from itertools import product

from kammil.languages import Affixes, Language


def _joined(*parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map("".join, product(*parts)))


_AND, _IN, _THE = ("", "و", "ف"), ("", "ب", "ل", "ك", "ع"), ("", "ال")
"""Conjunctions, prepositions and the article, in the order in which they are joined; ل and ال become لل."""
_PROCLITICS = (*_joined(_AND, _IN, _THE), *_joined(_AND, ("لل",)))
_OWN = ("ي", "ك", "كم", "كن", "كو", "هم", "هن", "ها", "ه", "نا", "و", "ني")
"""Endings of possession."""

LANGUAGE = Language(
    script="Arabic",
    locale="ar",
    keyboard=("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤرىةوزظ"),
    folds=dict(zip("أإآٱىیةک", "اااايي" + "هك", strict=True)),  # letters of Persian keyboards among them
    block_folds=dict(zip("ہەگ", "ههك", strict=True)),
    respelt=dict(zip("أإآٱةىؤئذثظاض", "اااا" + "هيويدتضأظ", strict=True)),
    respelt_last={"ه": "ة", "ي": "ى"},
    careful=("ة", "أإآ"),
    long_vowels="اوي",
    proclitics=_PROCLITICS,
    conjunction="و",
    article=r"ال(?=[^ل]..)",  # not of اللهم, which would be "to them" without it
    articles={form: form for form in ("لل", "ولل", *_joined(("", *"وفبكعه", "وب", "وع", "وه"), ("ال",)))}
    | {f"{letter} ال": f"{letter}ال" for letter in "وفبكعه"}
    | {"ل ال": "لل"},
    affixes=(
        Affixes(
            "Arabic",
            prefixes=(*_PROCLITICS, *_joined((*_AND, "يا"), (*_IN, "ه"), _THE)),
            endings=(*_OWN, "ين", "ون", "ان", "ا", "يه", "يات", "ات", *(f"ات{own}" for own in _OWN)),
            endings_for={"ه": ("ه", "ات", "تين", *_joined(("ت", "ات"), _OWN))},
        ),
        Affixes("Latin", ("el", "al", "il", "wel", "bel", "hal", "ya"), ("s", "es", "z")),
    ),
    labels=("levantine", "dialect", "arabizi"),
    dialects=("Levantine", "Egyptian", "Gulf", "Maghrebi", "Iraqi", "standard"),
)

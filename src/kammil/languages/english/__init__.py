"""English, as people write it to each other."""

from kammil.languages import Affixes, Language

LANGUAGE = Language(
    script="Latin",
    keyboard=("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    affixes=(Affixes("Latin", endings=("s", "es", "z")),),
)

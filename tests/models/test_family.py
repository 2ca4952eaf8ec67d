"""Families by name: what is imported when, and what a family says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kammil.errors import FolderError, OptionError
from kammil.language_model import AdaptiveModel, Artifacts, BulkSampler, ExpertAttribution
from kammil.models.family import FAMILIES, family, load_model


def test_importing_it_imports_no_family() -> None:
    code = """
import sys
from kammil.models.family import FAMILIES
sides = [name for name in sys.modules if name.startswith("kammil.models.") and name.count(".") > 2]
assert not sides, sides
for each in FAMILIES.values():
    each.model()
assert not {"torch", "tokenizers"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counting_needs_no_pytorch() -> None:
    code = """
import sys
from kammil.models.family import family
family("ngram").learner()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_known_by_its_name(name: str) -> None:
    assert family(name).name == name


def test_what_the_families_can() -> None:
    can = {
        name: {c for c in (AdaptiveModel, BulkSampler, ExpertAttribution) if FAMILIES[name].can(c)} for name in FAMILIES
    }
    assert can["blend"] == {AdaptiveModel, BulkSampler, ExpertAttribution}
    assert can["gru"] == {BulkSampler}
    assert not can["ngram"] and not can["words"]


def test_an_unknown_family_is_said_in_one_sentence() -> None:
    with pytest.raises(OptionError, match=r"model is 'lstm', .*ngram, gru"):
        family("lstm")
    with pytest.raises(FolderError, match=r"'lstm', .*ngram, gru, .*update"):
        load_model("lstm", {}, Artifacts({}))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_wrong_setting_is_said_in_one_sentence(name: str) -> None:
    with pytest.raises(OptionError, match=r"no setting 'hiden'; .*\w+"):
        family(name).learner().check({"hiden": 3})


def test_a_folder_with_wrong_settings_is_not_opened() -> None:
    with pytest.raises(FolderError, match=r"ngram .*'order'"):
        load_model("ngram", {"order": -1}, Artifacts({}))
    with pytest.raises(FolderError, match=r"blend .*arrays"):
        load_model("blend", {}, Artifacts({}))

"""Named data sets: addresses, checksums, terms, and how they are read; `download` fetches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kammil.data.cleaning import CleaningRules
from kammil.errors import DataError, nearest

_GITHUB = "https://raw.githubusercontent.com/"
_SHAMI = _GITHUB + "GU-CLASP/shami-corpus/897e088f3352bcf964d98ebc650a5a192fe2d1a5/Data/"
_ARSARCASM = _GITHUB + "iabufarha/ArSarcasm-v2/eb85513e133cfc67e30aca4968fadbe2594fcb42/ArSarcasm-v2/"
_ATSAD = (
    _GITHUB + "motazsaad/arabic-sentiment-analysis/5ea372acfec32a23ceecc2380fe6607c41596b8d/arabic_tweets_tsv/20190413/"
)
_DIALECTS = _GITHUB + "d7miiZ/Dialect-Graduation-Project/ff1e92111cdac83cface2e45cbffb4c3aa506371/code/data/"
_NADI = (
    _GITHUB + "OmarSayedMostafa/Nuanced-Arabic-Dialect-Identification/09a7a7d513998b7576b6baee0b5a566a7802d43b/data/"
)
_DIALOGUE = _GITHUB + "tareknaous/dialogue-arabic-dialects/8174cd0024bacaf6d0d90263b9a3878212368ad4/"
_ECL = "its repository's LICENSE.MD is the ECL-2.0"

Terms = Literal["open", "research", "unstated"]
"""Terms of a data set: an open licence; research alone; or public, and none is stated for the data itself. None clears
the rights of those who wrote the texts."""


@dataclass(frozen=True)
class File:
    """One file of a data set."""

    path: str
    """Path relative to the cache folder or `KAMMIL_DATA_DIR`; its ending is that of the format."""
    url: str
    sha256: str
    """64 hexadecimal digits."""


@dataclass(frozen=True)
class Dataset:
    """A named data set: files of one format, read one after the other."""

    name: str
    files: tuple[File, ...]
    licence: str
    citation: str
    description: str
    terms: Terms = "unstated"
    dialect: str = "mixed"
    """Dialect of its texts: a name of `kammil.data.dialects`, or "mixed"."""
    column: str | tuple[str, ...] | None = None
    """Column of texts, as for `sources.rows`: None for text files; "2" is the second column without a header;
    of several, each row gives one text after the other."""
    cleaning: CleaningRules | None = None
    """Rules that undo what its makers did to the texts; None leaves them as they are."""


CATALOG = {
    "arsentd-lev": Dataset(
        name="arsentd-lev",
        files=(
            File(
                "ArSenTD-LEV.tsv",
                _GITHUB + "aub-mind/hULMonA/master/data/ArSenTD-LEV.tsv",
                "4a205f786bde9f5cda9969d8befa8c613da96f89678fab3bb8758a4582152aa4",
            ),
        ),
        licence="(c) 2018 American University of Beirut; research use",
        citation="Ramy Baly, Alaa Khaddaj, Hazem Hajj, Wassim El-Hajj and Khaled Bashir Shaban. ArSentD-LEV: A "
        "Multi-Topic Corpus for Target-based Sentiment Analysis in Arabic Levantine Tweets. Workshop at LREC 2018, "
        "Miyazaki. arXiv:1906.01830",
        description="4,000 Levantine tweets, 1,000 each from Lebanon, Jordan, Palestine and Syria, with topic and "
        "sentiment; 1,191 rows repeat the tweet of another row",
        terms="research",
        dialect="Levantine",
        column="Tweet",
    ),
    "shami": Dataset(
        name="shami",
        files=(
            File(
                "shami/Lebanees.txt",
                _SHAMI + "Lebanees.txt",
                "ae1d349c39c217416fd38c50aebdc45125f76a3a5b4ec5e98a8cbbf93c1a3751",
            ),
            File(
                "shami/Palestinian.txt",
                _SHAMI + "Palestinian.txt",
                "c9721dd658286e53a9765fd700168d9d2cd98d2f7be781a493969a449b1c37e9",
            ),
            File(
                "shami/jordinian.txt",
                _SHAMI + "jordinian.txt",
                "a3949b16152538abdf7715ff9468ce0fde485613c3a4c349051f7ef5b9122d47",
            ),
        ),
        licence="Apache-2.0",
        citation="Kathrein Abu Kwaik, Motaz Saad, Stergios Chatzikyriakidis and Simon Dobnik. Shami: A Corpus of "
        "Levantine Arabic Dialects. LREC 2018, Miyazaki",
        description="28,491 lines in the dialects of Lebanon, Palestine and Jordan; most punctuation is removed",
        terms="open",
        dialect="Levantine",
    ),
    "arsarcasm-v2": Dataset(
        name="arsarcasm-v2",
        files=(
            File(
                "arsarcasm-v2/training_data.csv",
                _ARSARCASM + "training_data.csv",
                "1da727eb763459f436c4e61f52c6a0bc63d5300af8fcc99b5675ae4616dae04a",
            ),
            File(
                "arsarcasm-v2/testing_data.csv",
                _ARSARCASM + "testing_data.csv",
                "0f0a77ba8a4a0a9370846a42a93a63244092f1fb30a909595b70e17e299bcf6c",
            ),
        ),
        licence="MIT",
        citation="Ibrahim Abu Farha, Wajdi Zaghouani and Walid Magdy. Overview of the WANLP 2021 Shared Task on "
        "Sarcasm and Sentiment Detection in Arabic. WANLP 2021, pages 296-305",
        description="15,548 tweets with sarcasm, sentiment and dialect (msa, egypt, gulf, levant, magreb)",
        terms="open",
        dialect="mixed",
        column="tweet",
    ),
    "atsad": Dataset(
        name="atsad",
        files=(
            File(
                "atsad/Arabic_tweets_negative_20190413.tsv",
                _ATSAD + "Arabic_tweets_negative_20190413.tsv",
                "6c8bd2e163c623d5f9c6ee6037345346146950ca4e0a77768d78f051844d5df3",
            ),
            File(
                "atsad/Arabic_tweets_positive_20190413.tsv",
                _ATSAD + "Arabic_tweets_positive_20190413.tsv",
                "46740bda3c4e5923c240f13f3bbca070c4fdf5c5c8ce0021011e88ed50544693",
            ),
        ),
        licence="Apache-2.0",
        citation="Kathrein Abu Kwaik, Stergios Chatzikyriakidis, Simon Dobnik, Motaz Saad and Richard Johansson. An "
        "Arabic Tweets Sentiment Analysis Dataset (ATSAD) using Distant Supervision and Self Training. OSACT4 at "
        "LREC 2020, pages 1-8",
        description="58,751 tweets of mixed dialects, chosen by emoji; many are cut at 140 characters and end in …",
        terms="open",
        dialect="mixed",
        column="2",
    ),
    "aoc-alghad": Dataset(
        name="aoc-alghad",
        files=(
            File(
                "aoc-alghad/dialect_alghad-segs.txt",
                _DIALECTS + "AOC-dialectal-annotations/dialect_alghad-segs.txt.norm",
                "b1f5a1f122be0c56c5f1b987b6e1cfbb3bd1087c68903ca9bba151170b8cfb90",
            ),
            File(
                "aoc-alghad/MSA_alghad-segs.txt",
                _DIALECTS + "AOC-dialectal-annotations/MSA_alghad-segs.txt.norm",
                "2b33c774487a9c19f5e115d09b827a84022d36d31189513ceb6fa9b77c960c2d",
            ),
        ),
        licence=f"unstated for the data; {_ECL}",
        citation="Omar F. Zaidan and Chris Callison-Burch. The Arabic Online Commentary Dataset: an Annotated Dataset "
        "of Informal Arabic with High Dialectal Content. ACL 2011, pages 37-41",
        description="30,297 sentences of comments on Al-Ghad, a Jordanian paper: 11,350 that annotators called "
        "dialect, then 18,947 that they called standard Arabic",
        terms="unstated",
        dialect="mixed",
        cleaning=CleaningRules(punctuation=True),
    ),
    "abdullah-levantine": Dataset(
        name="abdullah-levantine",
        files=(
            File(
                "abdullah-levantine/LEV.txt",
                _DIALECTS + "extra_data/abdullah_data/LEV.txt",
                "c66e8cbfce4a1eb037c9dae2aa574858084d7daf880a1cb70affc12df69ec5ec",
            ),
        ),
        licence="ECL-2.0, of the repository; it names no other terms for the data",
        citation="Abdulrahman Al-Shawi, Musaad Al-Qubayl, Khaled Al-Bader, Abdullah Al-Suwailem and Mohand Al-Rasheed. "
        "Dialect Graduation Project. github.com/d7miiZ/Dialect-Graduation-Project",
        description="12,298 short tweets and replies of Jordan and Palestine, without handles, addresses and emoji",
        terms="open",
        dialect="Levantine",
        cleaning=CleaningRules(),
    ),
    "dart-levantine": Dataset(
        name="dart-levantine",
        files=(
            File(
                "dart-levantine/LEV.tsv",
                _DIALECTS + "DART/cf-data/LEV.txt",
                "4a83756f97ad9e44aaad6f3a183281941a06ddf57b39b7d5f8fa3fc27e01ab9d",
            ),
        ),
        licence=f"unstated for the data; {_ECL}",
        citation="Israa Alsarsour, Esraa Mohamed, Reem Suwaileh and Tamer Elsayed. DART: A Large Dataset of Dialectal "
        "Arabic Tweets. LREC 2018, Miyazaki",
        description="3,939 tweets that annotators called Levantine",
        terms="unstated",
        dialect="Levantine",
        column="tweet_text",
        cleaning=CleaningRules(),
    ),
    "cotterell-levantine": Dataset(
        name="cotterell-levantine",
        files=(
            File(
                "cotterell-levantine/levantine.tsv",
                _DIALECTS + "annotated_data/levantine",
                "003ef82e554a984ff6554e7f4da4adc4206c4382785b6124b68151ea47ad5983",
            ),
            File(
                "cotterell-levantine/twitter-levantine.tsv",
                _DIALECTS + "annotated_data/twitter-levantine",
                "c2cb2df1101b1a53ab04a15d614e04ffb67870f327b80642634ae3d87291102c",
            ),
        ),
        licence=f"unstated for the data; {_ECL}",
        citation="Ryan Cotterell and Chris Callison-Burch. A Multi-Dialect, Multi-Genre Corpus of Informal Written "
        "Arabic. LREC 2014, Reykjavik, pages 241-245",
        description="6,404 comments and tweets that annotators called Levantine; half of the comments are also in "
        "aoc-alghad, and some tweets are of the Gulf",
        terms="unstated",
        dialect="Levantine",
        column="text",
        cleaning=CleaningRules(),
    ),
    "nadi2021": Dataset(
        name="nadi2021",
        files=(
            File(
                "nadi2021/DA_train_labeled.tsv",
                _NADI + "DA_train_labeled.tsv",
                "c5c75372e9bf635fece7f26e1bd917c6541ab2eac69160071dbc5b8cac863118",
            ),
            File(
                "nadi2021/DA_dev_labeled.tsv",
                _NADI + "DA_dev_labeled.tsv",
                "a4ddd4628e3b39abc2650ba80dc34f65245ad923edecf2484bf2debfe297d9c2",
            ),
        ),
        licence="unstated for the data; the repository that holds them is under the MIT licence",
        citation="Muhammad Abdul-Mageed, Chiyu Zhang, AbdelRahim Elmadany, Houda Bouamor and Nizar Habash. NADI 2021: "
        "The Second Nuanced Arabic Dialect Identification Shared Task. WANLP 2021, pages 244-259",
        description="26,000 tweets of 21 countries, by the place of their writers (#3_country_label, such as Jordan); "
        "many are in standard Arabic",
        terms="unstated",
        dialect="mixed",
        column="#2_tweet",
        cleaning=CleaningRules(),
    ),
    "naous-levantine": Dataset(
        name="naous-levantine",
        files=(
            File(
                "naous-levantine/dataset.csv",
                _DIALOGUE + "dataset.csv",
                "ee7088b4a9c23f919fd67a5e81ee5bbffd9074995a6fb33568ba1a49815ef6bc",
            ),
        ),
        licence="MIT",
        citation="Tarek Naous, Zahraa Bassyouni, Bassel Mousi, Hazem Hajj, Wassim El Hajj and Khaled Shaban. "
        "Open-Domain Response Generation in Low-Resource Settings using Self-Supervised Pre-Training of Warm-Started "
        "Transformers. ACM Transactions on Asian and Low-Resource Language Information Processing, 2023",
        description="1,000 utterances in Lebanese dialect, each with a response, translated by hand from English",
        terms="open",
        dialect="Levantine",
        column=("Utterance-LEV", "Response-LEV"),
        cleaning=CleaningRules(),
    ),
}
"""Every data set that Kammil knows by name."""


def find(name: str) -> Dataset:
    """Return the data set of a name in `CATALOG`; `DataError` for any other name."""
    if name not in CATALOG:
        hint = nearest(name, CATALOG)
        raise DataError(f"there is no data set {name!r}{hint}; the known ones are {', '.join(CATALOG)}")
    return CATALOG[name]

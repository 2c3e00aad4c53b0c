"""Groups of images: by attribute, by folder, by a file of the user's; what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from untrain.catalogs.base import Catalog
from untrain.catalogs.groups import OTHERS, UNKNOWN, groups_of
from untrain.core.errors import InputError


def catalog(ids: list[str], hashes: list[str] | None = None, **attributes: list[object]) -> Catalog:
    return Catalog(
        name="made",
        ids=tuple(ids),
        captions=tuple("a picture" for _ in ids),
        hashes=tuple(hashes or ids),
        read=lambda image_id: b"",
        attributes=pd.DataFrame(attributes, index=range(len(ids))),
    )


def codes(groups: object) -> set[str]:
    return {note.code for note in groups.notes}  # type: ignore[attr-defined]


def test_by_an_attribute_in_order_of_the_alphabet() -> None:
    found = groups_of(catalog(list("abcd"), brand=["Y", "X", "Y", "X"]), "brand")
    assert found.names == ("X", "Y")
    assert found.of.tolist() == [1, 0, 1, 0]
    assert (found.sizes.tolist(), found.key, found.notes) == ([2, 2], "brand", ())


def test_images_without_a_value_are_a_group_of_their_own_that_comes_last() -> None:
    found = groups_of(catalog(list("abcde"), brand=["Y", None, "A", " na ", "Y"]), "brand")
    assert found.names == ("A", "Y", UNKNOWN)
    assert found.of.tolist() == [1, 2, 0, 2, 1]
    assert codes(found) == {"images-without-group", "groups-of-one"}


def test_small_groups_are_pooled() -> None:
    found = groups_of(
        catalog(list("abcdef"), year=[2011.0, 2011.0, 2012.0, 2013.0, 2014.0, 2011.0]), "year", 2
    )
    assert found.names == ("2011", OTHERS)
    assert found.sizes.tolist() == [3, 3]
    assert codes(found) == {"groups-pooled"}


def test_by_folder() -> None:
    found = groups_of(catalog(["a/1", "a/2", "b/c/3", "4"]), "folder")
    assert found.names == ("a", "b/c", UNKNOWN)


def test_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "members of.csv"
    file.write_text("image_id,society\n007,GEMA\n8,SACEM\nother,SACEM\n007,GEMA\n")
    found = groups_of(catalog(["007", "8", "9"]), str(file))
    assert found.names == ("GEMA", "SACEM", UNKNOWN)
    assert found.key == "members-of"
    assert {"groups-of-other-images", "images-without-group"} <= codes(found)
    pd.read_csv(file, dtype=str).to_parquet(tmp_path / "members.parquet")
    again = groups_of(catalog(["007", "8", "9"]), str(tmp_path / "members.parquet"))
    assert again.fingerprint == found.fingerprint


def test_copies_in_two_groups_are_told_of() -> None:
    found = groups_of(
        catalog(list("abcd"), ["1", "1", "2", "3"], brand=["X", "Y", "X", "Y"]), "brand"
    )
    assert codes(found) == {"copies-across-groups"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        ("image_id\na\n", "has 1 column"),
        ("id,group\na,X\na,Y\n", "more than one group"),
        ("id,group\nq,X\n", "knows no image"),
        ("", "cannot be read"),
        ("id,group\na,X\nb,X\nc,X\nd,X\n", "the same"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "groups.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=says):
        groups_of(catalog(list("abcd")), str(file))


def test_unknown_attributes_and_one_group() -> None:
    made = catalog(list("ab"), brand=["X", "X"])
    with pytest.raises(InputError, match=r"no attribute 'brnd'.*did you mean.*brand"):
        groups_of(made, "brnd")
    with pytest.raises(InputError, match="the same brand, 'X'"):
        groups_of(made, "brand")
    with pytest.raises(InputError, match="choose 1 or more"):
        groups_of(made, "brand", 0)
    with pytest.raises(InputError, match="have the same folder"):
        groups_of(replace(made), "folder")

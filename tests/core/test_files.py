from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrain.core.atomic import atomic_file, atomic_folder, discard_folder, discard_leftovers
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, rng, write_json, write_parquet, write_text
from untrain.core.marks import MARKER
from untrain.core.targets import check_file_target

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_a_mistake_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


def write_folder(path: Path, *names: str) -> None:
    with atomic_folder(path) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).touch()


def names_in(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files} - {MARKER}


def test_a_folder_that_untrain_wrote_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write_folder(path, "a", "below/b")
    (path / ".DS_Store").touch()
    write_folder(path, "c")
    assert names_in(path) == {"c"}
    assert list(tmp_path.iterdir()) == [path]


def test_several_may_write_the_same_folder_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(20):
            write_folder(tmp_path / "folder", f"{number}", "below/a")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(names_in(tmp_path / "folder")) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write_folder(path, "a")
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as temporary:
        (temporary / "b").touch()
        raise ZeroDivisionError
    assert names_in(path) == {"a"}
    assert list(tmp_path.iterdir()) == [path]


def test_blocks_may_be_nested(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "outer") as outer:
        write_folder(outer, "a")
        (outer / "b").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["outer"]
    write_folder(tmp_path / "outer", "c")  # the marker lists what the outer block added, too


def test_a_marker_that_is_a_hard_link_is_not_written_through(tmp_path: Path) -> None:
    write_folder(tmp_path / "one", "a")
    before = (tmp_path / "one" / MARKER).read_text()
    with atomic_folder(tmp_path / "two") as temporary:
        for name in ("a", MARKER):
            os.link(tmp_path / "one" / name, temporary / name)
        (temporary / "b").touch()
    assert (tmp_path / "one" / MARKER).read_text() == before


def strange_folder(path: Path) -> None:
    (path / "below").mkdir(parents=True)
    (path / "below" / "mine.txt").write_text("mine")


def own_folder_with_a_file_added(path: Path) -> None:
    write_folder(path, "a")
    (path / "below").mkdir()
    (path / "below" / "mine.txt").write_text("mine")


def own_folder_with_a_link_added(path: Path) -> None:
    strange_folder(path.with_name("elsewhere"))
    write_folder(path, "a")
    (path / "below").symlink_to(path.with_name("elsewhere") / "below")


def link_to_a_folder(path: Path) -> None:
    strange_folder(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def link_to_own_folder(path: Path) -> None:
    write_folder(path.with_name("elsewhere"), "below/mine.txt")
    (path.with_name("elsewhere") / "below" / "mine.txt").write_text("mine")
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    "make",
    [
        strange_folder,
        own_folder_with_a_file_added,
        own_folder_with_a_link_added,
        link_to_a_folder,
        link_to_own_folder,
    ],
)
def test_what_untrain_did_not_write_is_not_replaced(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "folder"
    make(path)
    began = False
    with pytest.raises(InputError, match="move it elsewhere"), atomic_folder(path):
        began = True
    assert not began
    with pytest.raises(InputError, match="move it elsewhere"):
        discard_folder(path)
    for writer in (atomic_file, atomic_folder):
        with pytest.raises(InputError), writer(path) as temporary:
            temporary.touch()
    assert (path / "below" / "mine.txt").read_text() == "mine"


def test_a_folder_is_checked_again_after_the_block(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"holds below.*did not write"),
        atomic_folder(tmp_path / "folder"),
    ):
        strange_folder(tmp_path / "folder")
    assert (tmp_path / "folder" / "below" / "mine.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError, match="is not a folder"):
        write_folder(tmp_path / "a", "b")
    assert (tmp_path / "a").read_text() == "mine"


def test_an_unmarked_folder_stays_for_good(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "export", marked=False) as temporary:
        (temporary / "a").touch()
    assert [p.name for p in (tmp_path / "export").iterdir()] == ["a"]
    with pytest.raises(InputError, match="move it elsewhere"):
        write_folder(tmp_path / "export", "b")


@pytest.mark.parametrize("path", ["", ".", "..", "folder", "link", "/dev/full", "loop", "file/a"])
def test_what_is_no_place_for_a_file(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strange_folder(Path("folder"))
    Path("link").symlink_to("folder")
    Path("loop").symlink_to("loop")
    Path("file").touch()
    with pytest.raises(InputError, match="cannot write"):
        check_file_target(path)
    with pytest.raises(InputError, match="cannot write"):
        write_text(Path(path), "text")
    assert Path("folder/below/mine.txt").read_text() == "mine"
    assert Path("link").is_symlink()
    assert not Path("/dev/full").is_file()


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "latest.csv").symlink_to("below/a.csv")  # which is not there yet
    for text in ("new", "newer"):
        write_text(tmp_path / "latest.csv", text)
        assert (tmp_path / "latest.csv").is_symlink()
        assert (tmp_path / "below" / "a.csv").read_text() == text


def test_a_source_is_not_a_target(tmp_path: Path) -> None:
    strange_folder(tmp_path / "photos")
    with pytest.raises(InputError, match="one of the files to be read"):
        check_file_target(tmp_path / "photos" / "below" / "mine.txt", [tmp_path / "photos"])
    check_file_target(tmp_path / "photos" / "sheet.png", [tmp_path / "photos"])
    check_file_target(tmp_path / "photos" / "below" / "mine.txt", [])


def test_leftovers_of_a_killed_process_are_discarded_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "models" / ".abc.123.0a1b2c3d.untrain-tmp").mkdir(parents=True)
    (tmp_path / "models" / ".abc.123.0a1b2c3d.untrain-tmp" / "weights").touch()
    (tmp_path / ".a.parquet.123.0a1b2c3d.untrain-tmp").touch()
    strange_folder(tmp_path / "mine")
    (tmp_path / ".b.123.0a1b2c3d.untrain-tmp").symlink_to(tmp_path / "mine")
    others = {".notes.tmp", ".notes.123.tmp", "mine.tmp", ".lock", ".my.untrain-tmp"}
    for name in others:
        (tmp_path / name).touch()
    discard_leftovers(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {"models", "mine", "below", "mine.txt", *others}


def test_tables_and_json_read_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["007", "é"], "value": [0.1, float("nan")]}, index=[5, 6])
    write_parquet(tmp_path / "t.parquet", table)
    again = pd.read_parquet(tmp_path / "t.parquet")
    assert again["image_id"].tolist() == ["007", "é"]
    assert list(again.index) == [0, 1]
    write_json(tmp_path / "v.json", {"a": ["é", 1.5, None]})
    assert read_json(tmp_path / "v.json") == {"a": ["é", 1.5, None]}
    assert "é" in (tmp_path / "v.json").read_text(encoding="utf-8")


def test_fingerprints_do_not_change_between_versions() -> None:
    """A changed fingerprint would train every model of every old run again."""
    assert fingerprint("a", 1, [1.5, None]) == "2919103d4c220edb"
    assert fingerprint(np.arange(3, dtype=np.int64)) == "087a8bd09e888af3"
    by_hand = hashlib.sha256((5).to_bytes(8, "little") + b"bytes").hexdigest()
    assert fingerprint(b"bytes") == by_hand[:16]


def test_fingerprints_tell_content_shape_and_type_apart() -> None:
    array = np.arange(6)
    parts = [
        (array,),
        (array.reshape(2, 3),),
        (array.astype(np.int32),),
        (array[::-1],),
        ("ab",),
        ("a", "b"),
        ("b", "a"),
        (b"ab",),
        (),
    ]
    assert len({fingerprint(*p) for p in parts}) == len(parts)
    assert fingerprint(array[::2]) == fingerprint(np.ascontiguousarray(array[::2]))


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def test_random_numbers_depend_on_their_key_alone() -> None:
    first = rng("noise", 3, "p00").random(4)
    rng("noise", 3, "p01").random(1000)
    assert np.array_equal(rng("noise", 3, "p00").random(4), first)
    assert not np.array_equal(rng("noise", 4, "p00").random(4), first)

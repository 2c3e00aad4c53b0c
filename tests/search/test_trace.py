"""A trace finds a picture's own training image, its copies and kin; its index heals itself."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from tests.helpers.places import SHARED
from untrain.catalogs import Catalog, load_catalog, rendered
from untrain.core import cache as cache_module
from untrain.core.errors import InputError
from untrain.core.marks import MARKER
from untrain.encoders.layout import LayoutEncoder
from untrain.search import trace as trace_module
from untrain.search import trace_pictures, trace_query
from untrain.search.catalog_index import open_index
from untrain.search.copies import judge
from untrain.search.neighbours import nearest
from untrain.search.rank.metric_table import LEFT_OUT
from untrain.search.retrieve import candidates as retrieval
from untrain.search.retrieve.text import TfidfRetriever
from untrain.search.trace import Trace, Tracer, trace
from untrain.search.trace_pictures import SeenPictures
from untrain.search.trace_query import HIT


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Ten families of five."""
    return rendered(families=10, size_of_family=5, resolution=32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    return tmp_path


def copied(catalog: Catalog, copies: dict[str, str]) -> Catalog:
    """Add byte-identical copies: new id → id of the original."""
    sources = [catalog.index[image_id] for image_id in copies.values()]

    def read(image_id: str) -> bytes:
        return catalog.read(copies.get(image_id, image_id))

    return Catalog(
        name=catalog.name,
        ids=(*catalog.ids, *copies),
        captions=(*catalog.captions, *(catalog.captions[i] + " again" for i in sources)),
        hashes=(*catalog.hashes, *(catalog.hashes[i] for i in sources)),
        read=read,
        attributes=pd.DataFrame(index=range(len(catalog) + len(copies))),
    )


def picture(catalog: Catalog, image_id: str) -> np.ndarray:
    return np.asarray(catalog.image(image_id))


def hits(found: Trace, query: str = "q") -> list[str]:
    return found.table.loc[found.table["query"] == query, "image_id"].tolist()


class Counting:
    """The layout encoder, counting what it embeds."""

    fingerprint = "counting"
    non_negative = True

    def __init__(self) -> None:
        self.count = 0

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.count += len(images)
        return LayoutEncoder().encode(images)


# What is found.


def test_a_training_image_comes_first_and_its_duplicates_next(catalog: Catalog) -> None:
    doubled = copied(catalog, {"000009a": "000009", "zzz": "000009"})
    found = trace({"q": picture(catalog, "000009")}, doubled)
    first = found.table.head(3)
    assert first["image_id"].tolist() == ["000009", "000009a", "zzz"]
    assert first["same_as"].tolist() == ["", "000009", "000009"]
    assert first["near_copy"].all() and not found.table["near_copy"][3:].any()
    assert (first["distance"] == 0).all()
    metrics = first.drop(columns=[*HIT])
    assert (metrics.nunique() == 1).all()  # to the last bit
    assert found.copies["image_id"].tolist() == ["000009"]


def test_duplicates_follow_each_other_whatever_their_captions(catalog: Catalog) -> None:
    doubled = copied(catalog, {"zzz": "000009"})
    captions = ("one", *doubled.captions[1:-1], "another")
    said = dataclasses.replace(doubled, captions=captions)
    found = trace({"q": picture(catalog, "000009")}, said, catalog.captions[9]).table
    assert found["image_id"][:2].tolist() == ["000009", "zzz"]
    assert found["text_tfidf"][0] > 0.5 and found["text_tfidf"][1] == 0


def test_of_equal_scores_the_image_with_the_querys_name_comes_first(catalog: Catalog) -> None:
    doubled = copied(catalog, {"zzz": "000009"})
    found = trace({"zzz": picture(catalog, "000009")}, doubled, top=2)
    assert hits(found, "zzz") == ["zzz", "000009"]
    assert found.table["same_as"].tolist() == ["", "zzz"]
    assert found.copies["image_id"].tolist() == ["zzz"]


@pytest.mark.parametrize("number", [0, 17, 33])
def test_a_coarse_noisy_picture_finds_its_family(catalog: Catalog, number: int) -> None:
    family = catalog.attributes["family"]
    drawn = catalog.image(catalog.ids[number]).filter(ImageFilter.GaussianBlur(1.5))
    noise = np.random.default_rng(0).normal(0, 20, (32, 32, 3))
    noisy = (np.asarray(drawn) + noise).clip(0, 255).astype(np.uint8)
    found = hits(trace({"q": noisy}, catalog, top=5))
    assert [family[catalog.index[i]] for i in found] == [family[number]] * 5


def test_a_flagged_hit_is_told_where_the_nearest_is_no_copy(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flagging_the_third(*args: object) -> pd.DataFrame:
        judged = judge(*args)  # type: ignore[arg-type]
        return judged.assign(near_copy=judged.index == 3)

    image = {"q": np.full((20, 20, 3), 90, np.uint8)}
    plain = trace(image, catalog)
    assert not plain.copies["near_copy"].any()  # of the nearest
    assert plain.copies["distance"][0] <= plain.table["distance"].min()
    monkeypatch.setattr(trace_query, "judge", flagging_the_third)
    found = trace(image, catalog)
    assert found.copies["near_copy"].all()
    assert found.copies["image_id"][0] == found.table["image_id"][2]
    assert found.table["near_copy"].tolist() == [False, False, True] + 7 * [False]
    assert found.copies["distance"][0] == found.table["distance"][2]


def test_copies_take_no_places_among_the_neighbours(catalog: Catalog) -> None:
    many = copied(catalog, {f"zz{i:03d}": "000009" for i in range(200)})
    image = np.asarray(catalog.image("000009").filter(ImageFilter.GaussianBlur(1)))
    found = trace({"q": image}, many, candidates=10)
    opened = open_index(many, LayoutEncoder())
    expected = nearest(opened.features, LayoutEncoder().encode([image]), opened.rows)
    assert expected.position[0] == 9 and 0 < expected.ratio[0] < 1
    np.testing.assert_allclose(found.copies["ratio"], expected.ratio, rtol=1e-9)


def test_an_image_of_the_catalogue_is_left_out_of_its_own_answer(catalog: Catalog) -> None:
    many = copied(catalog, {f"zz{i:03d}": "000009" for i in range(200)})
    opened, image = open_index(catalog, LayoutEncoder()), picture(catalog, "000009")
    by_itself = Tracer(catalog).trace({"q": image}, catalog.captions[9], themselves={"q": "000009"})
    assert len(by_itself.table) == 10 and "000009" not in by_itself.table["image_id"].tolist()
    assert "000009" not in by_itself.edited["image_id"].tolist()
    own = np.array([9])
    expected = nearest(opened.features, LayoutEncoder().encode([image]), opened.rows, own)
    np.testing.assert_allclose(by_itself.copies["ratio"], expected.ratio, rtol=1e-9)
    doubled = Tracer(many).trace({"q": image}, top=3, candidates=10, themselves={"q": "000009"})
    assert doubled.table["image_id"].tolist() == ["zz000", "zz001", "zz002"]
    assert set(doubled.table["same_as"]) == {"000009"}
    assert doubled.copies["near_copy"].all()
    assert doubled.edited["kinds"][0] == "identical"


def test_every_picture_is_traced_by_itself(catalog: Catalog) -> None:
    pictures = {i: picture(catalog, i) for i in ("000003", "000001")}
    together = trace(pictures, catalog)
    assert together.copies["query"].tolist() == ["000003", "000001"]
    for name, image in pictures.items():
        alone = trace({name: image}, catalog).table
        both = together.table[together.table["query"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, both, rtol=1e-9)


def test_many_pictures_are_traced_some_at_a_time_with_the_same_answer(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {i: picture(catalog, i) for i in catalog.ids[:7]}
    pictures["black"] = np.zeros((8, 8, 3), np.uint8)
    whole = trace(pictures, catalog, "fashion", top=3)
    monkeypatch.setattr(trace_module, "TOGETHER", 2)
    monkeypatch.setattr(trace_pictures, "BUDGET", 0)  # no picture is kept from one to the next
    parts = trace(pictures, catalog, "fashion", top=3)
    for name in ("table", "copies"):
        pd.testing.assert_frame_equal(getattr(parts, name), getattr(whole, name), rtol=1e-12)
    assert parts.notes == whole.notes
    assert len(parts.ranked) == len(whole.ranked) == 8 * len(catalog)
    assert parts.about == whole.about


def test_pictures_seen_are_kept_up_to_a_number_of_bytes(catalog: Catalog) -> None:
    reads = []

    def read(image_id: str) -> bytes:
        reads.append(image_id)
        return catalog.read(image_id)

    size = 32 * 32 * 3 + 64 + 4 * 512
    seen = SeenPictures(dataclasses.replace(catalog, read=read), budget=3 * size)
    found = seen.of(np.array([0, 1, 2]))
    assert found[1].picture.shape == (32, 32, 3) and found[1].size == size
    seen.of(np.array([0, 1]))
    assert len(reads) == 3
    seen.of(np.array([3]))  # in place of the one not asked for since
    seen.of(np.array([0, 1, 3]))
    assert len(reads) == 4
    assert len(seen.of(np.arange(20))) == 20  # more than are kept


def test_the_table_is_in_order_and_has_every_metric(catalog: Catalog, cache: Path) -> None:
    found = trace({"q": picture(catalog, "000000")}, catalog, top=7)
    assert tuple(found.table.columns[: len(HIT)]) == HIT
    assert found.table["rank"].tolist() == list(range(1, 8))
    assert found.table["score"].is_monotonic_decreasing
    assert {"pixel_ssim_standard", "feature_kl"} < set(found.table.columns)
    assert not {"text_tfidf", "pooled_cosine"} & set(found.table.columns)
    assert found.notes == ()


def test_a_prompt_finds_images_that_the_picture_does_not(catalog: Catalog) -> None:
    shown, said = "000000", "000001"
    assert catalog.attributes["family"][0] != catalog.attributes["family"][1]
    image, prompt = {"q": picture(catalog, shown)}, catalog.captions[1]
    assert said not in hits(trace(image, catalog, candidates=2, top=2))
    by_words = trace(image, catalog, prompt, candidates=2, top=2, ranking="text")
    assert hits(by_words)[0] == said
    assert by_words.table["text_tfidf"][0] == pytest.approx(1)
    assert by_words.about["candidates"] == 4
    assert hits(trace(image, catalog, prompt))[0] == shown  # the picture says more


def test_a_prompt_without_a_known_word_is_noted_and_changes_nothing(catalog: Catalog) -> None:
    image = {"q": picture(catalog, "000000")}
    found = trace(image, catalog, "xyzzy plugh")
    assert "no word of the prompt" in str(found.notes[0]) and "left out" in str(found.notes[0])
    assert hits(found) == hits(trace(image, catalog))


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_another_index_finds_the_same_in_a_small_catalogue(catalog: Catalog, kind: str) -> None:
    image = {"q": picture(catalog, "000011")}
    found = trace(image, catalog, index=kind)
    assert found.about["index"] == kind
    assert hits(found) == hits(trace(image, catalog))


class Whole(Counting):
    """An encoder of whole maps, searched by their mean, that reads words."""

    fingerprint = "whole"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.count += len(images)
        return np.stack([np.asarray(Image.fromarray(i).resize((4, 4))).ravel() for i in images]) / 9

    def pooled(self) -> Pooled:
        return Pooled()

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        return np.array([[9.0, 0, 0]])  # red


class Pooled(Counting):
    fingerprint = "pooled"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([i.reshape(-1, 3).mean(axis=0) for i in images]).astype(np.float32)


def test_a_whole_map_is_searched_pooled_and_compared_whole(catalog: Catalog) -> None:
    encoder = Whole()
    found = trace({"q": picture(catalog, "000000")}, catalog, "fashion", encoder, candidates=4)
    assert {"pooled_cosine", "text_clip", "text_tfidf"} < set(found.table.columns)
    assert 0 < encoder.count < len(catalog)  # the candidates alone
    assert hits(found)[0] == "000000"
    reddest = max(catalog.ids, key=lambda i: redness(picture(catalog, i)))
    assert reddest in hits(
        trace({"q": picture(catalog, "000000")}, catalog, "red", encoder, top=50)
    )


def redness(image: np.ndarray) -> float:
    mean = image.reshape(-1, 3).mean(axis=0)
    return float(mean[0] / np.linalg.norm(mean))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 200)])
def test_pictures_of_any_size_are_traced(catalog: Catalog, shape: tuple[int, int]) -> None:
    found = trace({"q": np.full((*shape, 3), 200, np.uint8)}, catalog)
    assert len(found.table) == 10 and np.isfinite(found.table["score"]).all()


def test_a_black_picture_is_ranked_by_what_is_defined(catalog: Catalog) -> None:
    found = trace({"q": np.zeros((8, 8, 3), np.uint8)}, catalog)
    assert found.table["pixel_cosine"].isna().all()
    undefined, left_out = found.notes
    assert str(undefined) == "pixel_cosine is undefined for 50 of 50 pairs: a picture is black"
    assert (left_out.code, left_out.about) == (LEFT_OUT, ("pixel_cosine",))
    assert np.isfinite(found.table["score"]).all()


class Centred(Counting):
    """Features of either sign."""

    fingerprint = "centred"
    non_negative = False

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        features = super().encode(images)
        return features - features.mean(axis=1, keepdims=True)


def test_an_undefined_metric_is_noted_once_for_all_pictures(catalog: Catalog) -> None:
    pictures = {i: picture(catalog, i) for i in catalog.ids[:3]}
    found = trace(pictures, catalog, encoder=Centred())
    assert found.table["feature_kl"].isna().all()
    assert len(found.notes) == 1
    assert found.notes[0].text.startswith("feature_kl is undefined for 150 of 150 pairs: ")
    assert found.to_dict()["notes"] == [note.to_dict() for note in found.notes]


def test_a_catalogue_of_one_image_is_enough(catalog: Catalog) -> None:
    one = catalog.subset(["000004"])
    assert hits(trace({"q": picture(catalog, "000008")}, one)) == ["000004"]


def test_it_is_json(catalog: Catalog) -> None:
    found = trace({"q": np.zeros((8, 8, 3), np.uint8)}, catalog, top=2)
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["images"] == 50 and again["ranking"] == "fusion" and again["prompt"] is None
    query = again["queries"][0]
    assert query["query"] == "q" and "p_value" in query["copy_test"]
    assert query["hits"][1]["rank"] == 2 and query["hits"][1]["pixel_cosine"] is None
    assert set(again["seconds"]) >= {"index", "search", "compare", "rank"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"top": 0}, "top is 0"),
        ({"candidates": -1}, "candidates is -1"),
        ({"ranking": "fusoin"}, "did you mean 'fusion'"),
        ({"ranking": "text"}, "needs a prompt"),
        ({"ranking": "metric:text_tfidf"}, "needs a prompt"),
        ({"ranking": "text", "prompt": "xyzzy"}, "no word of the prompt 'xyzzy'"),
        ({"ranking": "metric:text_tfidf", "prompt": "xyzzy"}, "no word of the prompt"),
        ({"ranking": "scores:mine.csv"}, "mine.csv"),
        ({"index": "hnws"}, "did you mean 'hnsw'"),
    ],
)
def test_wrong_options_say_so(catalog: Catalog, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace({"q": picture(catalog, "000000")}, catalog, **options)


def test_nothing_to_search_or_search_for_says_so(catalog: Catalog) -> None:
    with pytest.raises(InputError, match="no images"):
        trace({"q": picture(catalog, "000000")}, catalog.subset([]))
    with pytest.raises(InputError, match="no picture"):
        trace({}, catalog)


# The index.


def test_a_second_trace_embeds_the_query_alone(catalog: Catalog, cache: Path) -> None:
    encoder = Counting()
    image = {"q": picture(catalog, "000002")}
    first = trace(image, catalog, "fashion", encoder)
    assert encoder.count == len(set(catalog.hashes)) + 1
    second = trace(image, catalog, "fashion", encoder)
    assert encoder.count == len(set(catalog.hashes)) + 2
    pd.testing.assert_frame_equal(first.table, second.table)
    assert trace(image, catalog, "fashion", encoder, fresh=True).notes == ()
    assert encoder.count == len(set(catalog.hashes)) + 3  # features stay


def test_a_changed_catalogue_is_noticed_and_only_new_images_are_embedded(
    catalog: Catalog, cache: Path
) -> None:
    encoder = Counting()
    part = catalog.subset(catalog.ids[:40])
    assert open_index(part, encoder).notes == ()
    before = encoder.count
    opened = open_index(catalog, encoder)
    assert f"a catalogue named {catalog.name} was indexed before" in opened.notes[0].text
    assert "40 images then, 50 now" in opened.notes[0].text
    assert encoder.count - before == len(set(catalog.hashes) - set(part.hashes))
    assert open_index(catalog, encoder).notes == ()
    assert open_index(part, encoder).notes == ()  # that one is still there


def spoil_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{")


def spoil_version(folder: Path) -> None:
    (folder / "meta.json").write_text('{"version": 0}')


def spoil_arrays(folder: Path) -> None:
    for path in folder.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:-7])


def spoil_all(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        if path.name != MARKER:
            path.unlink()


@pytest.mark.parametrize("spoil", [spoil_meta, spoil_version, spoil_arrays, spoil_all])
def test_a_damaged_or_outdated_index_is_made_again(
    catalog: Catalog, cache: Path, spoil: object
) -> None:
    image = {"q": picture(catalog, "000002")}
    first = trace(image, catalog, "fashion")
    folders = [path.parent for path in cache.glob("indexes/*/meta.json")]
    assert len(folders) == 3
    for folder in folders:
        spoil(folder)  # type: ignore[operator]
    again = trace(image, catalog, "fashion")
    pd.testing.assert_frame_equal(first.table, again.table)
    assert any(note.code == "cache-remade" for note in again.notes)
    assert trace(image, catalog, "fashion").notes == ()


def test_a_half_written_index_does_not_count(catalog: Catalog, cache: Path) -> None:
    half = cache / "indexes" / f".{catalog.fingerprint}-x-exact.1.tmp"
    half.mkdir(parents=True)
    (half / "meta.json").write_text("{}")
    assert trace({"q": picture(catalog, "000002")}, catalog).notes == ()


def test_a_disk_that_fills_leaves_no_index_and_the_next_call_makes_it(
    catalog: Catalog, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    image = {"q": picture(catalog, "000002")}
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "write_json", full)
        without = trace(image, catalog, "fashion")
    assert hits(without)[0] == "000002"
    assert [note.text.partition(",")[0] for note in without.notes] == [
        "exact index of pictures",
        "calibration of the copy test",
        "tfidf index of captions",
    ]
    assert all(
        note.code == "cache-unwritable" and "No space" in note.text for note in without.notes
    )
    assert not list(cache.glob("indexes/*/*"))
    found = trace(image, catalog, "fashion")
    pd.testing.assert_frame_equal(found.table, without.table)
    assert found.notes == ()


def test_the_cache_knows_what_the_indexes_are(catalog: Catalog, cache: Path) -> None:
    from untrain.core.cache import entries

    trace({"q": picture(catalog, "000002")}, catalog, "fashion")
    said = [(entry.description, entry.rows) for entry in entries(("indexes",))]
    assert len(said) == 3
    assert all(catalog.name in description and rows == 50 for description, rows in said)


def test_a_run_and_a_trace_share_the_index_of_the_captions(
    catalog: Catalog, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace({"q": picture(catalog, "000002")}, catalog, "fashion")
    monkeypatch.setattr(retrieval, "KEPT_FROM", 20)
    monkeypatch.setattr(TfidfRetriever, "fit", lambda *_: pytest.fail("fitted again"))
    renamed = dataclasses.replace(catalog, name="another")  # captions alone count
    assert retrieval.text_index(renamed).query(["fashion"], 3)[0].shape == (1, 3)


@pytest.mark.slow
def test_real_photos_come_first_and_their_duplicates_next() -> None:
    path = SHARED / "data"
    path /= "fashion-product-images-small.zip"
    if not path.exists():
        pytest.skip("needs the real photos in ../shared")
    every = load_catalog("fashion", path=path)
    groups = every.duplicates()[:25]
    catalog = every.subset({i for group in groups for i in group} | set(every.ids[::150]))
    pictures = {group[-1]: picture(catalog, group[-1]) for group in groups}
    found = trace(pictures, catalog, top=max(map(len, groups)))
    for group in groups:
        others = [image_id for image_id in sorted(group) if image_id != group[-1]]
        assert hits(found, group[-1])[: len(group)] == [group[-1], *others]
    assert found.copies["near_copy"].all()

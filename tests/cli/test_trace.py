"""``untrain trace`` reads any picture, says what is wrong, and writes what was asked for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from untrain.cli import trace
from untrain.core.errors import InputError
from untrain.search.rank.ranking import RANKINGS

app = typer.Typer()
trace.add_to(app)


def call(*arguments: object) -> str:
    said = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(said.exception, Exception):
        raise said.exception
    assert said.exit_code == 0, said.output
    return said.stdout


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo(photos: Path, tmp_path: Path) -> Path:
    """A training image under a name of its own, and a copy of it in the catalogue."""
    source = min(photos.glob("*.png"))
    shutil.copy(source, photos / "zz-copy.png")
    (photos / "zz-copy.txt").write_text("a copy [bold]again[/]")
    return Path(shutil.copy(source, tmp_path / "asked.png"))


def test_the_table_shows_the_image_its_copy_and_their_captions(photo: Path) -> None:
    said = call(photo, "-c", "photos", "--top", 3)
    lines = [line for line in said.splitlines() if line.startswith("│")]
    assert len(lines) == 3
    assert "000000" in lines[0] and "near copy" in lines[0] and "1.000" in lines[0]
    assert "zz-copy" in lines[1] and "= 000000" in lines[1] and "[bold]again[/]" in lines[1]
    assert "Near copy of 000000: distance 0.000" in said
    assert "Copy of 000000: the same picture in another file. Also flagged: zz-copy." in said
    assert "33 images of photos" in said


@pytest.fixture
def several(photo: Path, photos: Path) -> Path:
    """A folder of pictures: two training images, one in a sub-folder with a prompt, and junk."""
    folder = photo.parent / "generated"
    (folder / "deep").mkdir(parents=True)
    first, second = sorted(photos.glob("*.png"))[:2]
    shutil.copy(first, folder / "one.png")
    shutil.copy(second, folder / "deep" / "two.png")
    (folder / "deep" / "two.txt").write_text("a fashion shirt\n")
    Image.new("RGB", (20, 20), "green").save(folder / "ten.jpg")
    (folder / "broken.png").write_bytes(first.read_bytes()[:60])
    (folder / "notes.md").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def refused(*arguments: object) -> str:
    """Call it where some pictures are bad, and return what it prints."""
    said = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert said.exit_code == 2 and isinstance(said.exception, SystemExit), said.output
    return said.stdout


def test_a_folder_gives_one_line_a_picture_and_names_what_is_bad(several: Path) -> None:
    said = refused(several, "-c", "photos").splitlines()
    lines = {line.split()[0]: line for line in said if line.split()[:1]}
    assert "near copy" in lines["one"] and "000000" in lines["one"]
    assert "near copy" in lines["two"] and "000001" in lines["two"]
    assert " – " in lines["ten"]
    assert "3 pictures, 2 of them copies of training images" in "\n".join(said)
    assert said[-1].startswith("1 picture was skipped: broken: ")
    assert not any(line.startswith("┏") for line in said), "no table for each"


def test_pictures_that_were_named_and_are_not_there_end_it(photo: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.png does not exist; .* a folder of pictures"):
        call(photo, photo.with_name("absent.png"), "-c", "photos")
    empty = photo.with_name("empty")
    empty.mkdir()
    with pytest.raises(InputError, match="empty holds no picture"):
        call(empty, "-c", "photos")


def test_a_table_has_paths_and_prompts_under_any_names(several: Path) -> None:
    table = several.parent / "asked.csv"
    table.write_text(
        "file,said\ngenerated/one.png,a fashion shirt\ngenerated/ten.jpg,\n"
        "gone.png,a bag\n,x\nhttps://example.org/x.png,y\n"
    )
    said = json.loads(
        refused(table, "-c", "photos", "--json", "--prompt-column", "said", "--top", 3)
    )
    assert [query["query"] for query in said["queries"]] == ["one", "ten"]
    assert said["queries"][0]["prompt"] == "a fashion shirt"
    assert "text_tfidf" in said["queries"][0]["hits"][0]
    assert said["queries"][1]["hits"][0]["text_tfidf"] is None
    bad = {each["picture"]: each["reason"] for each in said["skipped"]}
    assert set(bad) == {"row 3", "https://example.org/x.png", "gone"}
    assert "does not exist" in bad["gone"] and bad["row 3"] == "no path"

    frame = pd.DataFrame({"drawing": ["generated/ten.jpg"], "prompt": ["a fashion shirt"]})
    frame.to_parquet(table.with_suffix(".parquet"))
    with pytest.raises(InputError, match=r"--picture-column.*there are: drawing, prompt"):
        call(table.with_suffix(".parquet"), "-c", "photos")
    options = ("--picture-column", "drawing", "--json")
    said = json.loads(call(table.with_suffix(".parquet"), "-c", "photos", *options))
    assert said["prompt"] == "a fashion shirt"


def test_a_prompt_on_the_command_line_is_that_of_all(several: Path) -> None:
    said = json.loads(refused(several, "-c", "photos", "--json", "-p", "a fashion shirt"))
    assert {query["prompt"] for query in said["queries"]} == {"a fashion shirt"}


def test_the_answers_can_be_browsed(several: Path) -> None:
    outputs = ("-o", "answers", "-o", "all.html", "-o", "all.csv")
    said = refused(several, "-c", "photos", *outputs, "--top", 4)
    assert "written: answers/index.html" in said
    index = Path("answers/index.html").read_text()
    assert index.count("near copy of") == 2 and "broken" in index
    pages = sorted(path.name for path in Path("answers/answers").iterdir())
    assert pages == ["0001-two.html", "0002-one.html", "0003-ten.html"]
    for page in pages:
        assert f'href="answers/{page}"' in index
        assert 'href="../index.html"' in (Path("answers/answers") / page).read_text()
    assert len(pd.read_csv("answers/summary.csv")) == 3
    assert len(pd.read_csv("all.csv")) == len(pd.read_parquet("answers/hits.parquet")) == 12
    whole = Path("all.html").read_text()
    assert all(f'href="#query-{n}"' in whole and f'id="query-{n}"' in whole for n in (1, 2, 3))
    refused(several, "-c", "photos", "-o", "answers")  # its own folder it replaces
    Path("answers/mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds mine\.txt, which untrain did not write"):
        call(several, "-c", "photos", "-o", "answers")


def test_a_page_of_too_many_pictures_is_refused_before_any_work(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("untrain.report.page.trace_folder.ONE_PAGE", 2)
    with pytest.raises(InputError, match=r"too many for the one page x\.html .* --out x"):
        call(several, "-c", "nowhere", "-o", "x.html")


def test_words_find_captions_without_a_picture(photos: Path) -> None:
    caption = (photos / "000003.txt").read_text()
    said = call("-p", caption, "-c", "photos", "--top", 3, "-o", "w.html", "-o", "w.csv", "-o", "w")
    assert caption.split()[0] in said and "32 captions of photos" in said
    table = pd.read_csv("w.csv")
    assert len(table) == 3 and table["score"].is_monotonic_decreasing
    assert table["score"].iloc[0] == pytest.approx(1)
    assert Path("w.html").read_text().count("<img") == 3 and Path("w/index.html").is_file()
    found = json.loads(call("-p", caption, "-c", "photos", "--json"))
    assert found["prompt"] == caption and found["hits"][0]["rank"] == 1
    with pytest.raises(InputError, match="no word of the prompt 'xyzzy'"):
        call("-p", "xyzzy", "-c", "photos")
    with pytest.raises(InputError, match="give a picture, a folder or a table"):
        call("-c", "photos")


def test_columns_of_the_catalogue_can_be_named(photo: Path) -> None:
    table = photo.with_name("catalogue.csv")
    table.write_text("where,what,key\nphotos/000000.png,a shirt,first\nphotos/000001.png,a bag,x\n")
    columns = ("--image-column", "where", "--caption-column", "what", "--id-column", "key")
    said = json.loads(call(photo, "-c", table, *columns, "--json"))
    assert said["queries"][0]["hits"][0]["image_id"] == "first"
    said = json.loads(call("-p", "bag", "-c", table, *columns, "--json"))
    assert [hit["image_id"] for hit in said["hits"]] == ["x"]
    more = ("--data-option", "where.what=a bag")
    assert json.loads(call("-p", "bag", "-c", table, *columns, *more, "--json"))["images"] == 1


def test_json_on_the_screen_is_nothing_else(photo: Path) -> None:
    said = json.loads(call(photo, "-c", "photos", "--json", "-p", "a fashion shirt"))
    assert said["prompt"] == "a fashion shirt" and said["images"] == 33
    assert said["queries"][0]["query"] == "asked"
    assert said["queries"][0]["copy_test"]["near_copy"] is True
    assert [hit["image_id"] for hit in said["queries"][0]["hits"][:2]] == ["000000", "zz-copy"]
    assert {"catalogue", "index", "compare"} < set(said["seconds"])


def test_files_of_every_kind_hold_the_same(photo: Path) -> None:
    names = ("t.csv", "t.parquet", "t.json", "t.html", "sub/t.csv")
    call(photo, "-c", "photos", *(part for name in names for part in ("-o", name)))
    table = pd.read_parquet("t.parquet")
    assert len(table) == 10
    text = {"image_id": str, "query": str}
    csv = pd.read_csv("t.csv", dtype=text, keep_default_na=False, na_values={"feature_kl": [""]})
    pd.testing.assert_frame_equal(csv, table)
    assert Path("sub/t.csv").read_bytes() == Path("t.csv").read_bytes()
    hits = json.loads(Path("t.json").read_text())["queries"][0]["hits"]
    assert [hit["score"] for hit in hits] == table["score"].tolist()
    assert "data:image/" in Path("t.html").read_text()


def test_pictures_are_named_by_what_tells_them_apart(photo: Path, tmp_path: Path) -> None:
    for name in ("asked.jpg", "sub/asked.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.open(photo).convert("RGB").save(tmp_path / name)

    def queries(*pictures: object) -> list[str]:
        said = json.loads(call(*pictures, "-c", "photos", "--json", "--top", 1))
        return [query["query"] for query in said["queries"]]

    assert queries("asked.png", "asked.jpg") == ["asked.png", "asked.jpg"]
    assert queries("asked.jpg", "sub/asked.jpg") == ["asked.jpg", "sub/asked.jpg"]


def test_a_picture_given_twice_is_refused(photo: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        call(photo, photo, "-c", "photos")


def test_a_rendered_catalogue_needs_no_path(photo: Path) -> None:
    from untrain.catalogs import CATALOGS, Catalog, rendered

    def few() -> Catalog:
        return rendered(families=4, size_of_family=3, resolution=16)

    with CATALOGS.temporary(rendered=few):
        assert "12 images of rendered" in call(photo, "--catalog", "rendered")


def test_a_run_gives_its_training_images_and_its_encoder(micro_run: Path) -> None:
    picture = min(micro_run.glob("queries/*/0.png"))
    said = json.loads(call(picture, "--run", micro_run, "--json"))
    record = json.loads((micro_run / "run.json").read_text())
    assert said["images"] == record["catalog"]["images"]
    assert said["encoder"].startswith("layout")


def test_what_the_runs_own_copy_test_found_is_told(micro_run: Path, photo: Path) -> None:
    copies = pd.read_parquet(micro_run / "copies.parquet")
    prompt = copies["prompt_id"][0]
    row = copies[(copies["prompt_id"] == prompt) & (copies["generation"] == 0)].iloc[0]
    own = micro_run / "queries" / str(prompt) / "0.png"
    call(own, photo, "--run", micro_run, "-o", "t.json", "-o", "t.html")
    notes = [note["text"] for note in json.loads(Path("t.json").read_text())["notes"]]
    assert sum("its generator makes of them" in note for note in notes) == 1
    told = [note for note in notes if "in the run's own test" in note]
    assert len(told) == 1 and told[0].startswith("0, ") and row["image_id"] in told[0]
    assert ("no near copy" in told[0]) != row["near_copy"]
    assert told[0] in unescape(Path("t.html").read_text())


def test_fresh_reads_the_catalogue_of_a_run_again(
    photo: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"stages": {}}))
    data = f"data: {{format: folder, path: {photos}, holdout: 0}}"
    (run / "config.yaml").write_text(f"name: mine\n{data}\nprompts: {{texts: [shirt]}}\n")
    caption = photos / "000000.txt"
    before, times = caption.read_text(), caption.stat()
    os.utime(photos / "zz-copy.png", (1, 1))
    os.utime(photos / "zz-copy.txt", (1, 1))

    def first(*options: str) -> str:
        said = json.loads(call(photo, "--run", run, "--json", *options))
        return said["queries"][0]["hits"][0]["caption"]

    assert first() == before
    notes = json.loads(call(photo, "--run", run, "--json"))["notes"]
    assert "has no fitted model" in {n["code"]: n for n in notes}["influence-left-out"]["text"]
    caption.write_text(before.upper())  # nothing but its content tells
    os.utime(caption, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert first() == before
    assert first("--fresh") == before.upper()


def save_grey(image: Image.Image, path: Path) -> None:
    image.convert("L").save(path, "PNG")


def save_palette(image: Image.Image, path: Path) -> None:
    image.quantize(200).save(path, "PNG")


def save_transparent(image: Image.Image, path: Path) -> None:
    image.convert("RGBA").save(path, "PNG")


def save_16_bit(image: Image.Image, path: Path) -> None:
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path, "PNG")


def save_cmyk(image: Image.Image, path: Path) -> None:
    image.convert("CMYK").save(path, "TIFF")


def save_animated(image: Image.Image, path: Path) -> None:
    image.save(path, "GIF", save_all=True, append_images=[Image.new("RGB", image.size, "red")])


def save_rotated(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90° to see it upright
    image.rotate(90, expand=True).save(path, "PNG", exif=exif)


@pytest.mark.parametrize(
    "save",
    [
        save_grey,
        save_palette,
        save_transparent,
        save_16_bit,
        save_cmyk,
        save_animated,
        save_rotated,
    ],
)
def test_pictures_of_any_mode_find_their_original(
    photo: Path, save: Callable[[Image.Image, Path], None]
) -> None:
    save(Image.open(photo).convert("RGB"), Path("other"))
    found = json.loads(call("other", "-c", "photos", "--json"))["queries"][0]["hits"]
    assert "000000" in [hit["image_id"] for hit in found[:4]]  # colour may be gone


def test_a_single_pixel_is_a_picture(photos: Path) -> None:
    Image.new("RGB", (1, 1), "red").save("dot.png")
    said = call("dot.png", "-c", "photos")
    assert "No unaltered copy among those nearest" in said
    assert "No copy found, unaltered or edited" in said


def test_edited_copies_can_be_left_out(photo: Path) -> None:
    said = json.loads(call(photo, "-c", "photos", "--edited", "none", "--json"))
    assert said["queries"][0]["edited_copies"] == []
    said = json.loads(call(photo, "-c", "photos", "--json"))
    found = said["queries"][0]["edited_copies"]
    assert [row["verdict"] for row in found[:2]] == ["copy", "copy"]


def truncated(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:-40])


def empty(photo: Path) -> None:
    photo.write_bytes(b"")


def no_picture(photo: Path) -> None:
    photo.write_text("a shirt")


def absent(photo: Path) -> None:
    photo.unlink()


def a_folder(photo: Path) -> None:
    photo.unlink()
    photo.mkdir()


@pytest.mark.parametrize("spoil", [truncated, empty, no_picture, absent, a_folder])
def test_what_is_no_picture_is_named(photo: Path, spoil: Callable[[Path], None]) -> None:
    spoil(photo)
    with pytest.raises(InputError, match=r"asked\.png"):
        call(photo, "-c", "photos")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-c", "nowhere"), "nowhere"),
        ((), "--catalog or --run"),
        (("-c", "photos", "--run", "runs/x"), "--catalog or --run"),
        (("--run", "photos"), "not a run folder"),
        (("-c", "photos", "-p", " "), "the prompt is empty"),
        (("-c", "photos", "--format", "fodler"), "did you mean 'folder'"),
        (("-c", "photos", "--format", "rendered"), "takes no path"),
        (("-c", "rendered", "--format", "folder"), "needs a path"),
        (("-c", "photos", "-p", "xyzzy", "--ranking", "text"), "no word of the prompt 'xyzzy'"),
        (("-c", "photos", "--encoder", "layuot"), "did you mean 'layout'"),
        (("-c", "photos", "--pooling", "mean"), "--pooling works only with --encoder"),
        (("-c", "photos", "--encoder", "layout", "--pooling", "mean"), "pooling"),
        (("-c", "photos", "--index", "exat"), "did you mean 'exact'"),
        (("-c", "photos", "--ranking", "study!"), "did you mean 'study'"),
        (("-c", "photos", "--method", "dtrak"), "--method works only with --run"),
        (("-c", "photos", "-o", "table.xlsx"), "expected a name ending in .csv"),
    ],
)
def test_wrong_options_say_so(photo: Path, options: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(photo, *options)


def test_the_help_names_every_ranking() -> None:
    said = " ".join(call("--help").replace("│", " ").split())
    for name in (*RANKINGS, "metric:feature_cosine", "fitted:FILE"):
        assert name in said


def test_a_prompt_of_unknown_words_is_noted(photo: Path) -> None:
    said = call(photo, "-c", "photos", "-p", "xyzzy")
    assert "note: no word of the prompt 'xyzzy'" in said and "left out" in said


def test_a_catalogue_that_changed_is_read_and_indexed_again(
    photo: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    call(photo, "-c", "photos")
    for name in ("zz-copy.png", "zz-copy.txt"):
        (photos / name).unlink()
    said = call(photo, "-c", "photos")
    assert "zz-copy" not in said and "33 images then, 32 now" in said
    assert "a catalogue named photos was indexed before with other content" in said
    assert "note:" not in call(photo, "-c", "photos")


def test_with_a_run_likeness_and_influence_stand_side_by_side(micro_run: Path) -> None:
    picture = min(micro_run.glob("queries/*/0.png"))
    said = call(picture, "--run", micro_run, "--top", 4, "-o", "t.json", "-o", "t.html")
    assert "0, by influence (leverage)" in said and "# likeness" in said
    assert "likeness and influence: " in said and "influence took" in said
    told = json.loads(Path("t.json").read_text())
    assert told["seconds"]["influence"] > 0
    beside = told["queries"][0]["influence"]
    assert beside["method"] == "leverage" and beside["agreement"]["k"] == 4
    rows = beside["side_by_side"]
    assert {1, 2, 3, 4} <= {row["influence_rank"] for row in rows}
    assert {1, 2, 3, 4} <= {row["likeness_rank"] for row in rows}
    both = sum(max(row["influence_rank"], row["likeness_rank"] or 99) <= 4 for row in rows)
    assert both == beside["agreement"]["both"] and len(rows) == 8 - both
    page = Path("t.html").read_text()
    assert "By likeness" in page and "By influence (leverage)" in page and "by likeness</p>" in page


def test_influence_can_be_left_out_or_asked_for(micro_run: Path, tmp_path: Path) -> None:
    picture = min(micro_run.glob("queries/*/0.png"))
    said = json.loads(call(picture, "--run", micro_run, "--json", "--method", "none"))
    assert "influence" not in said["queries"][0] and "influence" not in said["seconds"]
    said = json.loads(call(picture, "--run", micro_run, "--json", "-m", "grad_cos"))
    assert said["queries"][0]["influence"]["method"] == "grad_cos"
    with pytest.raises(InputError, match="did you mean 'dtrak'"):
        call(picture, "--run", micro_run, "--method", "dtrakk")

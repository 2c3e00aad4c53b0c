"""Takedown requests through the page: what is sent, what is refused, what comes out."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.helpers.pages import HOST, png
from untrain.catalogs.base import Catalog
from untrain.serve.requested import HOW, Order, Place, Requests, Sent, _answer
from untrain.takedowns.verify import verify

pytestmark = pytest.mark.external


@pytest.fixture
def page(photos: Catalog, tmp_path: Path) -> Iterator[Any]:
    """A page over photos in a folder, which another process can open, too."""
    testing = pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    from untrain.catalogs import load_catalog
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    folder = tmp_path / "photos"
    folder.mkdir()
    for image_id, caption in zip(photos.ids, photos.captions, strict=True):
        (folder / f"{image_id}.png").write_bytes(photos.read(image_id))
        (folder / f"{image_id}.txt").write_text(caption)
    shelf = Shelf(
        lambda: (load_catalog("folder", path=folder), None),
        None,
        tmp_path / "runs",
        place=Place(catalog=str(folder)),
    )
    with testing.TestClient(make_app(shelf, [HOST]), f"http://{HOST}") as client:
        while not client.get("/state").json()["ready"]:
            time.sleep(0.05)
        client.ids = list(shelf.catalog.ids)
        yield client


class Asleep(Requests):
    """Requests that nobody works on."""

    def work(self, name: str, order: Order | None = None) -> None:
        pass


def test_a_request_is_a_folder_that_the_command_line_takes(tmp_path: Path) -> None:
    requests = Asleep(tmp_path / "requests", tmp_path / "takedowns")
    letter = {"reference": "2026/17", "from": "Ä painter", "asks": "", "received": "2026-11-02"}
    two = [Sent("a b.PNG", b"1"), Sent("../a b.PNG", b"2")]
    assert requests.take(two, letter, Order(Place())) == "2026-17"
    folder = tmp_path / "requests" / "2026-17"
    assert sorted(path.name for path in folder.iterdir()) == [
        "002-a b.PNG",
        "a b.PNG",
        "request.yaml",
    ]
    assert requests.title("2026-17") == "2026/17"
    words = yaml.safe_load((folder / "request.yaml").read_text(encoding="utf-8"))
    assert words == {"reference": "2026/17", "from": "Ä painter", "received": "2026-11-02"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Größe 1.JPG", "Größe 1.JPG"),
        ("C:\\photos\\a:b.png", "a-b.png"),
        ("../../.hidden.png", "hidden.png"),
        ("request.yaml", "001-request.yaml"),
        ("nul.png", "001-nul.png"),
        ("///", "picture"),
    ],
)
def test_files_keep_the_names_of_the_sender(tmp_path: Path, sent: str, kept: str) -> None:
    requests = Asleep(tmp_path / "requests", tmp_path / "takedowns")
    name = requests.take([Sent(sent, b"1")], {"reference": "r"}, Order(Place()))
    folder = tmp_path / "requests" / name
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept, "request.yaml"])


def test_a_folder_without_captions_is_searched_as_the_page_did(
    tmp_path: Path, photos: Catalog
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for image_id in photos.ids[:6]:
        (folder / f"{image_id}.png").write_bytes(photos.read(image_id))
    requests = Asleep(tmp_path / "requests", tmp_path / "takedowns")
    order = Order(Place(catalog=str(folder)))
    name = requests.take([Sent("a.png", photos.read(photos.ids[2]))], {"reference": "r"}, order)
    _answer(tmp_path / "requests" / name, requests.out, order)
    assert (requests.out / name / "ids.txt").read_text().split() == [photos.ids[2]]


def test_no_path_leads_out_of_the_requests(tmp_path: Path) -> None:
    requests = Asleep(tmp_path / "requests", tmp_path / "takedowns")
    (tmp_path / "request.yaml").write_text("")
    for name in ("..", ".", "", "a/b", HOW):
        with pytest.raises(KeyError):
            requests.state(name)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reference": "1"}, "A request needs a picture"),
        ({"reference": "1", "p": "0123"}, "drop it again"),
        ({"reference": "1", "ids": "nobody"}, "nobody"),
        ({"reference": "1", "ids": "ID", "place": "elsewhere"}, "no run"),
        ({"reference": "1", "ids": "ID", "measure": "guess"}, "guess"),
        ({"reference": "!", "ids": "ID"}, "names no folder"),
    ],
)
def test_a_wrong_form_says_what_is_wrong(page: Any, fields: dict[str, str], said: str) -> None:
    ids = fields.get("ids", "").replace("ID", page.ids[0])
    found = page.post("/takedowns", data={"place": "catalogue", **fields, "ids": ids})
    assert found.status_code == 422
    assert said in found.text
    assert "Back to the form" in found.text


@pytest.mark.slow
def test_files_in_report_out_and_corrected(page: Any, photos: Catalog, tmp_path: Path) -> None:
    again = png(np.asarray(photos.image(photos.ids[3])))
    key = page.post("/pictures", params={"name": "mine.png"}, content=again).json()["key"]
    form = {"p": key, "ids": page.ids[7], "reference": "2026-17", "place": "catalogue"}
    sent = page.post("/takedowns", data=form)
    assert str(sent.url).endswith("/takedowns/2026-17")
    assert "look for the pictures and their copies" in sent.text

    def done() -> str:
        while (state := page.get("/takedowns/2026-17/state").json())["state"] == "running":
            time.sleep(0.2)
        assert state["state"] == "done", state
        return str(page.get("/takedowns/2026-17").text)

    assert "pictures that were sent" in done()
    listed = page.get("/takedowns/2026-17/files/ids.txt").text.split()
    assert sorted(listed) == sorted([page.ids[3], page.ids[7]])
    report = page.get("/takedowns/2026-17/files/report.html")
    assert "sandbox" in report.headers["content-security-policy"]
    assert page.get("/takedowns/2026-17/files/form.json").status_code == 404
    assert page.get("/takedowns/2026-17/sent/0").headers["content-type"].startswith("image/")
    corrected = {"correct": "1", "not": page.ids[7], "also": ""}
    assert page.post("/takedowns/2026-17/work", data=corrected).status_code == 200
    done()
    assert page.get("/takedowns/2026-17/files/ids.txt").text.split() == [page.ids[3]]
    both = {"correct": "1", "not": page.ids[7], "theirs": page.ids[7]}
    refused = page.post("/takedowns/2026-17/work", data=both)
    assert refused.status_code == 422 and "Back to the request" in refused.text
    corrected = {"correct": "1", "theirs": page.ids[9], "also": page.ids[7]}
    assert page.post("/takedowns/2026-17/work", data=corrected).status_code == 200
    assert "2 images are theirs" in done()
    answer, sent_back = tmp_path / "answer", tmp_path / "letter"
    packed = page.get("/takedowns/2026-17/all.zip")
    zipfile.ZipFile(io.BytesIO(packed.content)).extractall(answer)
    sent_back.mkdir()
    (sent_back / "as I call it.png").write_bytes(again)
    (sent_back / "7.png").write_bytes(photos.read(photos.ids[7]))
    checked = verify(answer / "2026-17", request=sent_back)
    assert checked.passed and any("of another name" in check.text for check in checked.checks)
    assert "There is a request called 2026-17" in page.post("/takedowns", data=form).text

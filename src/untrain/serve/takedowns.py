"""Takedown requests: a form takes files in, and the report and the record come out."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.images import opened
from untrain.core.outside import read_bytes
from untrain.core.vocabulary import UNLEARNING
from untrain.report.decided import THEIRS, decided
from untrain.report.takedown import KINDS, PARTS, Told, in_short
from untrain.runs.find import has_model
from untrain.serve.decoding import BYTES, Decoder
from untrain.serve.requested import Order, Place, Sent
from untrain.serve.responses import at, attached, encoded, file_of, form_of, picture, wrong
from untrain.serve.runs import run_folders
from untrain.serve.safety import REPORT_POLICY
from untrain.serve.shelf import Shelf
from untrain.serve.site import Lanes, Site, shown
from untrain.takedowns.finding import SIMILAR
from untrain.takedowns.record import IDS, RECORD, REPORT
from untrain.takedowns.request import WORDS

MOST = 200
"""Pictures of a request, at most."""
HERE = "catalogue"
"""The place of a request that only the open catalogue is searched for."""
MEASURES = {
    "estimate": "estimate it from the model as it is",
    "trial": "measure it: train models with and without them (long)",
    "none": "do not",
}
REMOVALS = {
    "none": "no: say only what is there",
    "exact": "yes, by training again without them (as long as one training)",
    UNLEARNING: f"yes, at 5 % of a training, by {UNLEARNING} (an approximation)",
}
FILES = {
    REPORT: "text/html",
    RECORD: "application/json",
    IDS: "text/plain",
}
SIDE = 320
"""Pixels of a picture that was sent, as it is shown."""


class Takedowns(Site):
    """Takedown requests.

    Parameters
    ----------
    shelf : Shelf
    lanes : Lanes
    decoder : Decoder
        For pictures that were sent.
    """

    def __init__(self, shelf: Shelf, lanes: Lanes, decoder: Decoder) -> None:
        super().__init__(shelf, lanes)
        self.decoder, self.requests = decoder, shelf.requests

    def routes(self) -> list[Route]:
        """Return the addresses."""
        pages = self.lanes.pages
        return [
            at("/takedowns", self.home, pages),
            Route("/takedowns", self.send, methods=["POST"]),
            at("/takedowns/{name}", self.request, pages),
            at("/takedowns/{name}/state", self.state, pages),
            at("/takedowns/{name}/sent/{number:number}", self.sent, self.lanes.decoding),
            at("/takedowns/{name}/files/{file}", self.file, pages),
            at("/takedowns/{name}/all.zip", self.all_files, pages),
            Route("/takedowns/{name}/work", self.work, methods=["POST"]),
            at("/takedowns/{name}/stop", self.stop, pages, "POST"),
        ]

    def home(self, request: Request) -> Response:
        """Show the form, and the requests that came before."""
        if not self.shelf.ready:
            return self.page("waiting", request)
        catalog = self.shelf.catalog
        given = [text for text in request.query_params.getlist("i") if text.isdecimal()]
        positions = [int(text) for text in given[:MOST] if len(text) < 12]
        return self.page(
            "takedowns",
            request,
            most=MOST,
            largest=BYTES,
            ids="\n".join(catalog.ids[at] for at in positions if at < len(catalog)),
            letter=WORDS,
            places=self._places(),
            measures=MEASURES,
            removals=REMOVALS,
            known=[
                (name, self.requests.title(name), self.requests.state(name)["state"])
                for name in self.requests.names()
            ],
        )

    async def send(self, request: Request) -> Response:
        """Take a request and begin to work on it."""
        fields = await form_of(request)
        name = await self.lanes.pages.run(lambda: self._take(fields))
        return RedirectResponse(f"/takedowns/{name}", 303)

    def _take(self, fields: dict[str, list[str]]) -> str:
        letter = {key: fields.get(key, [""])[0].strip()[:5000] for key in WORDS}
        files = [self._file(key) for key in fields.get("p", [])[:MOST]]
        catalog = self.shelf.catalog
        for image_id in _lines(fields.get("ids", [""])[0])[:MOST]:
            if image_id not in catalog.index:
                raise InputError(f"no training image has the id '{image_id}'")
            content = catalog.read(image_id)
            with opened(content, image_id) as image:
                files.append(Sent(f"{image_id}.{(image.format or 'png').lower()}", content))
        place = self._place(fields.get("place", [""])[0])
        measure, remove = (fields.get(key, ["none"])[0] for key in ("measure", "remove"))
        if measure not in MEASURES or remove not in REMOVALS:
            raise InputError(f"measure is '{measure}' and remove is '{remove}': choose in the form")
        return self.requests.take(files, letter, Order(place, measure, remove))

    def _file(self, key: str) -> Sent:
        try:
            asked = self.shelf.picture(key)
        except KeyError:
            raise InputError("a picture is not kept any more: go back and drop it again") from None
        return Sent(asked.file or asked.name, asked.content)

    def request(self, request: Request) -> Response:
        """Show a request: how far the work is, or what was found."""
        name = request.path_params["name"]
        state, order = self.requests.state(name), self.requests.order(name)
        target = self.requests.target(name)
        record = read_json(target / RECORD) if (target / RECORD).is_file() else None
        sent = list(self.requests.pictures(name))
        found = self._found(record, sent) if record else None
        return self.page(
            "takedown",
            request,
            name=name,
            title=self.requests.title(name),
            state=state,
            order=order,
            files=[(file, file) for file in FILES if (target / file).is_file()],
            sent=sent,
            found=found,
            short=[str(said.striptags()) for said in in_short(Told(record))] if record else [],
            record=record,
            also=[i for i in order.also if i not in _with_a_tick(found)],
        )

    def _found(self, record: dict[str, Any], sent: list[str]) -> list[dict[str, Any]]:
        """Return each picture that was sent, with the images that were found for it."""
        catalog = self.shelf.catalog if self.shelf.ready else None
        matches = decided(record["found"]["matches"], record["decisions"])
        pairs = []
        for number, name in enumerate(sent):
            own = [match for match in matches if match["picture"] == name]
            hits = []
            for match in own:
                image_id = match["image_id"]
                known = catalog is not None and image_id in catalog.index
                here = shown(catalog, catalog.index[image_id]) if known and catalog else None
                hits.append(
                    {
                        "id": image_id,
                        "image": here,
                        "counted": match["copy"],
                        "said": _said(match),
                        "part": PARTS.get(match["part"], match["part"]),
                        "decided": match["decision"],
                        "theirs": match["decision"] == THEIRS
                        or (not match["copy"] and _can_be_theirs(match)),
                        "not_theirs": match["verdict"] != SIMILAR,
                    }
                )
            pairs.append({"name": name, "number": number, "hits": hits})
        return pairs

    def state(self, request: Request) -> Response:
        """Say how far the work on a request is."""
        return JSONResponse(self.requests.state(request.path_params["name"]))

    def sent(self, request: Request) -> Response:
        """Return a picture of a request, small."""
        paths = list(self.requests.pictures(request.path_params["name"]).values())
        number = request.path_params["number"]
        if number >= len(paths):
            return wrong("there is no such picture", 404)
        image = Image.fromarray(self.decoder(read_bytes(paths[number])))
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return picture(encoded(image))

    def file(self, request: Request) -> Response:
        """Return the report, the record or the list of ids."""
        name, file = request.path_params["name"], request.path_params["file"]
        if file not in FILES:
            raise KeyError(file)
        target = self.requests.target(name)
        saved = request.query_params.get("save") == "1" or file != REPORT
        headers = {"Content-Security-Policy": REPORT_POLICY} if file == REPORT else {}
        headers |= attached(f"{name}-{file}") if saved else {}
        return file_of(target, target / file, FILES[file], headers)

    def all_files(self, request: Request) -> Response:
        """Return the report, the record and the list of ids in a folder, as a zip file."""
        name = request.path_params["name"]
        target, buffer = self.requests.target(name), io.BytesIO()
        paths = [target / file for file in FILES if (target / file).is_file()]
        if not paths:
            raise KeyError(name)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                packed.write(path, f"{name}/{path.name}")
        headers = attached(f"{name}.zip")
        return Response(buffer.getvalue(), media_type="application/zip", headers=headers)

    async def work(self, request: Request) -> Response:
        """Go on with a request, or do it again with what somebody corrected."""
        name, fields = request.path_params["name"], await form_of(request)
        await self.lanes.pages.run(lambda: self._work(name, fields))
        return RedirectResponse(f"/takedowns/{name}", 303)

    def _work(self, name: str, fields: dict[str, list[str]]) -> None:
        order = self.requests.order(name)
        if "correct" in fields:
            refused = tuple(dict.fromkeys(fields.get("not", [])))
            also = [*fields.get("theirs", []), *_lines(fields.get("also", [""])[0])]
            for image_id in also:
                if image_id in refused:
                    raise InputError(
                        f"the image {image_id} is marked as theirs and as not theirs: choose one"
                    )
            order = replace(order, not_copies=refused, also=tuple(dict.fromkeys(also)))
        self.requests.work(name, order)

    def stop(self, request: Request) -> Response:
        """Stop working on a request."""
        name = request.path_params["name"]
        self.requests.stop(name)
        return RedirectResponse(f"/takedowns/{name}", 303)

    def _places(self) -> list[tuple[str, str]]:
        """Return where requests can go: by value, and in words."""
        shelf = self.shelf
        known = run_folders(shelf.runs, shelf.run)
        runs = [(name, f"the run {name}") for name, folder in known.items() if has_model(folder)]
        own = shelf.run.name if shelf.run else ""
        runs.sort(key=lambda place: place[0] != own)
        here = [(HERE, f"{shelf.catalog.name} (only search it)")] if shelf.place else []
        return here + runs

    def _place(self, asked: str) -> Place:
        if asked == HERE and self.shelf.place:
            return self.shelf.place
        folder = run_folders(self.shelf.runs, self.shelf.run).get(asked)
        if folder is None:
            raise InputError(f"there is no run '{asked}' to take images out of")
        return Place(run=str(folder.resolve()))


def _can_be_theirs(match: dict[str, Any]) -> bool:
    return bool(match["part"] == "training" or match["verdict"] != SIMILAR)


def _said(match: dict[str, Any]) -> str:
    """Return what an image is to the picture that was sent."""
    if match["decision"]:
        return f"decided: {match['decision']}"
    if match["copy"]:
        return KINDS.get(match["kind"], str(match["kind"]))
    if match["verdict"] == SIMILAR:
        return "no copy, the most alike"
    return "looks like a copy, not counted: please decide"


def _with_a_tick(found: list[dict[str, Any]] | None) -> set[str]:
    """Return the ids that can be said to be theirs beside their image."""
    return {hit["id"] for pair in found or [] for hit in pair["hits"] if hit["theirs"]}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]

"""Runs: how far they are, what they found, their pictures, two of them side by side."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError
from untrain.runs.status import status
from untrain.serve import runs as parts
from untrain.serve.compared import compared_parts
from untrain.serve.responses import PRIVATE, at, file_of
from untrain.serve.safety import FIGURE_POLICY, REPORT_POLICY
from untrain.serve.shelf import Shelf
from untrain.serve.site import Lanes, Site, page_numbers

PAGE = 20
"""Runs on one page."""
ANSWERS = 2000
"""Runs whose answers are kept in memory."""


class Running(Site):
    """Runs."""

    def __init__(self, shelf: Shelf, lanes: Lanes) -> None:
        super().__init__(shelf, lanes)
        self._told = parts.Told(ANSWERS)

    def routes(self) -> list[Route]:
        """Return the addresses."""
        pages = self.lanes.pages
        return [
            at("/runs", self.runs, pages),
            at("/compare", self.compare, pages),
            at("/runs/{run}", self.run, pages),
            at("/runs/{run}/state", self.state, pages),
            at("/runs/{run}/report", self.report, pages),
            at("/runs/{run}/figures/{name}.svg", self.figure, pages),
            at("/runs/{run}/pictures/{model}/{prompt}/{number:number}", self.picture, pages),
        ]

    def runs(self, request: Request) -> Response:
        """Show all runs, some on a page: the answer of each is read from a dozen tables."""
        known = parts.with_trials(self.shelf.runs, self.shelf.run)
        number, last = page_numbers(request, len(known), PAGE)
        here = list(known.items())[PAGE * (number - 1) : PAGE * number]
        told = [self._told(name, folder) for name, folder in here]
        return self.page("runs", request, runs=told, total=len(known), number=number, last=last)

    def run(self, request: Request) -> Response:
        """Show a run: how far it is, what it found, pictures with and without."""
        name = request.path_params["run"]
        return self.page("run", request, **parts.run_parts(name, self._folder(request)))

    def compare(self, request: Request) -> Response:
        """Show two runs side by side."""
        known = parts.finished_runs(self.shelf.runs, self.shelf.run)
        first, second = (request.query_params.get(side, "") for side in ("a", "b"))
        found = None
        if first and second:
            if first == second:
                raise InputError(f"{first} was chosen twice: choose two runs")
            found = compared_parts(self._named(first), self._named(second))
        return self.page("compare", request, known=known, first=first, second=second, found=found)

    def state(self, request: Request) -> Response:
        """Say how far a run is."""
        return JSONResponse(parts.progress_of(status(self._folder(request))))

    def report(self, request: Request) -> Response:
        """Return a run's own page, which may run its script and read nothing else."""
        folder = self._folder(request)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return file_of(folder, folder / "report.html", "text/html", headers)

    def figure(self, request: Request) -> Response:
        """Return a figure of a run."""
        folder = self._folder(request)
        path = parts.figure_file(folder, request.path_params["name"])
        headers = {"Content-Security-Policy": FIGURE_POLICY, **PRIVATE}
        return file_of(folder, path, "image/svg+xml", headers)

    def picture(self, request: Request) -> Response:
        """Return a picture that a model of a run drew."""
        asked, folder = request.path_params, self._folder(request)
        path = parts.picture_file(folder, asked["model"], asked["prompt"], asked["number"])
        return file_of(folder, path, "image/png", PRIVATE)

    def _folder(self, request: Request) -> Path:
        return self._named(request.path_params["run"])

    def _named(self, name: str) -> Path:
        return parts.run_named(self.shelf.runs, self.shelf.run, name)

"""Steps of longer work: each leaves its result as JSON, and is done again only after a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrain import __version__
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.progress import console

Result = dict[str, Any]


@dataclass(frozen=True)
class Steps:
    """The results of the steps, ``<step>.json`` in a folder.

    Work that was stopped goes on at the step that it was at: models are kept by the run, and what a
    step found lies here.
    """

    folder: Path

    def done(self, name: str, says: str, key: Any, work: Callable[[], Result]) -> Result:
        """Return what a step found: read, where it was done for the same ``key``, or worked out.

        Parameters
        ----------
        name : str
            Of the file.
        says : str
            What the step does, for people.
        key : JSON values
            All that decides the result.
        work : callable
            Returns JSON values.
        """
        path = self.folder / f"{name}.json"
        known = fingerprint(__version__, name, key)
        try:
            kept = read_json(path)
            if kept["key"] == known:
                result: Result = kept["result"]
                return result
        except (OSError, ValueError, KeyError, TypeError):
            pass
        console.print(f"[bold]{name}[/]  {says}", soft_wrap=True)
        result = work()
        write_json(path, {"key": known, "result": result})
        return result

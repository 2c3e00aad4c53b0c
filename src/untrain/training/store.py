"""The trained parts of a run folder: models by fingerprint, and parts that all models share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from untrain.core import disk
from untrain.core.atomic import atomic_folder, discard_folder
from untrain.core.files import read_json
from untrain.core.manifest import is_partial, is_whole, note_gone
from untrain.core.progress import console

OURS = {".safetensors", ".json"}
"""What generators of untrain's leave in the folder of a model."""


@dataclass(frozen=True)
class ModelStore:
    """``models/<fingerprint>`` and ``shared/<key>`` of a run folder.

    What another run in the same folder has is reused, not trained again: by hard links where the
    disk allows them, so it takes no space and survives deletion of the other run.

    Parameters
    ----------
    folder : Path
        The run folder.
    beside : Path
        The folder of runs.
    """

    folder: Path
    beside: Path

    def model(self, key: str) -> Path:
        """Return the folder of a model."""
        return self.folder / "models" / key

    def shared(self, key: str) -> Path:
        """Return the folder of the frozen parts of a generator."""
        return self.folder / "shared" / key

    def has_model(self, key: str) -> bool:
        """Tell whether a model is trained, taking it over from another run if necessary."""
        whole = self._is_whole(self.model(key)) and (self.model(key) / "removed.json").exists()
        return whole or self._adopt("models", key)

    def has_shared(self, key: str) -> bool:
        """Tell whether frozen parts are fitted, taking them over likewise."""
        return self._is_whole(self.shared(key)) or self._adopt("shared", key)

    def _is_whole(self, folder: Path) -> bool:
        """Tell whether a folder is there and as it was written; one that is not is discarded."""
        if not folder.exists():
            return False
        if _is_all_there(folder):
            return True
        name = folder.relative_to(self.folder).as_posix()
        console.print(f"[yellow]{name} is damaged[/]: it is made again", soft_wrap=True)
        if is_partial(folder) and all(path.suffix in OURS for path in folder.rglob("*")):
            disk.delete(folder)
            note_gone(folder)
        else:
            discard_folder(folder)
        return False

    def _adopt(self, kind: str, key: str) -> bool:
        for other in sorted(self.beside.glob(f"*/{kind}/{key}")):
            if other.parent.parent != self.folder and _is_all_there(other):
                with atomic_folder(self.folder / kind / key) as temporary:
                    disk.copy_folder(other, temporary, linked=True)
                return True
        return False


def _is_all_there(folder: Path) -> bool:
    """Tell whether a folder is whole, and not what somebody left of one when they deleted it.

    A generator of the user's own may have written it one by one, without a list of its files.
    """
    return is_whole(folder) and not is_partial(folder)


def read_losses(model: Path) -> list[float]:
    """Return the mean loss of each epoch of the model in a folder, if its generator kept them."""
    return list(read_json(model / "model.json").get("losses") or [])

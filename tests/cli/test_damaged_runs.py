"""A run folder with a damaged file: what is read says which file, and there is no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain

Copy = Callable[..., Path]
Damage = Callable[[bytes], bytes]

DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: bytes([*data[:40], *(byte ^ 0x55 for byte in data[40:60]), *data[60:]]),
    "other": lambda _: b'{"other": [1, 2]}',
    "folder": lambda _: b"",
}
COMMANDS = {
    "show": ("show", "{run}"),
    "status": ("status", "{run}"),
    "compare": ("compare", "{run}", "{run}"),
    "sheet": ("sheet", "{run}", "sheet.png"),
    "export": ("export", "{run}", "exported"),
}
KINDS = (".json", ".parquet", ".csv", ".yaml", ".safetensors", ".png", ".md", ".txt")


def files_of(run: Path) -> list[Path]:
    """Return one file of each kind and name: of many pictures or models, the first."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.suffix in KINDS and not path.name.startswith("."):
            place = path.relative_to(run).parts[0]
            name = path.suffix if path.suffix == ".png" else path.name
            found.setdefault((place, name), path)
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_ends_in_a_traceback(
    untrain: Untrain, micro_copy: Copy, damage: str, command: str
) -> None:
    run = micro_copy()
    failed = []
    for path in files_of(run):
        whole = path.read_bytes()
        if damage == "folder":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(DAMAGES[damage](whole))
        said = untrain(*(word.format(run=run) for word in COMMANDS[command]))
        if "should not have happened" in said.err or said.code not in (0, 2):
            failed.append((str(path.relative_to(run)), said.err[-300:]))
        if damage == "folder":
            path.rmdir()
        path.write_bytes(whole)
        for made in (Path("sheet.png"), Path("exported")):
            if made.is_file():
                made.unlink()
            elif made.exists():
                made.rename(f"exported-{len(list(Path().iterdir()))}")
    assert not failed

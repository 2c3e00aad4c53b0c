"""Run folders: compared, rewound to a stage, and their record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from untrain.experiment.pipeline import NAMES, STAGES
from untrain.runs.record import write_record


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def without_checksums(folder: Path) -> None:
    """Make a run one of which nothing was recorded, so that a test can write into it by hand."""
    content = record(folder)
    content.pop("checksums", None)
    (folder / "run.json").write_text(json.dumps(content))
    (folder / ".run.json").unlink(missing_ok=True)
    (folder / "checksums.txt").unlink(missing_ok=True)


def rewind(folder: Path, stage: str) -> None:
    """Make a finished run look as if it had never come to ``stage``."""
    content = record(folder)
    first = NAMES.index(stage)
    for later in STAGES[first:]:
        content["stages"].pop(later.name, None)
        for output in later.outputs:
            _remove(folder / output)
    if first <= NAMES.index("retrain"):
        kept = set()
        if stage != "fit":
            kept = set(pd.read_parquet(folder / "model_a.parquet")["fingerprint"])
        for model in (folder / "models").iterdir():
            if model.name not in kept:
                _remove(model)
    if first <= NAMES.index("compare"):
        _remove(folder / "features")
    write_record(folder, content)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def results(folder: Path) -> dict[str, object]:
    """Everything that a run found out, for comparing runs to the bit."""
    found: dict[str, object] = {}
    tables = [*folder.glob("*.parquet"), *folder.glob("results/*.parquet")]
    for path in sorted(tables):
        if path.name == "judged.parquet":  # left out by the fixture `no_quality_gate`
            continue
        found[path.name] = pd.read_parquet(path)
    for path in [*folder.glob("queries/**/*.png"), *folder.glob("generations/**/*.png")]:
        found[str(path.relative_to(folder))] = path.read_bytes()
    for pattern in ("queries.safetensors", "prompts.csv", "results/*.csv"):
        for path in folder.glob(pattern):
            found[path.name] = path.read_bytes()
    return found


def assert_same_results(folder: Path, whole: Path) -> None:
    """Compare a run, as far as it has come, with a finished one."""
    left, right = results(folder), results(whole)
    if "report" in record(folder)["stages"]:
        assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, right[name], check_exact=True, obj=name)
        else:
            assert value == right[name], name

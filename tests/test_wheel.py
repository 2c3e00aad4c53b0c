"""Wheel and sdist hold the package and nothing else; each builds without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import untrain
from tests.helpers.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.external]
ABOUT = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
MORE = ("CHANGELOG.md", "CITATION.cff", "SECURITY.md", "constraints.txt")


def built(kind: str, source: Path, out: Path) -> Path:
    """Return what setuptools makes of a source tree, in the environment of the tests."""
    call = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", call], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that no build is left in the checkout."""
    pytest.importorskip("setuptools", "77")
    pytest.importorskip("packaging", "24.2")
    copy = tmp_path_factory.mktemp("source")
    without = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=without)
    (copy / "tests").mkdir()
    (copy / "tests" / "test_api.py").write_text("")
    for name in (*ABOUT, *MORE):
        shutil.copy(ROOT / name, copy)
    return copy


def test_the_wheel_holds_the_package_and_the_sdist_builds_it(source: Path, tmp_path: Path) -> None:
    for name in ("sdist", "wheel", "again"):
        (tmp_path / name).mkdir()
    sdist = built("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert {*ABOUT, *MORE} <= names and not any(name.startswith("tests") for name in names)

    wheel = files_of(built("wheel", source, tmp_path / "wheel"))
    package = source / "src" / "untrain"
    held = {str(file.relative_to(source / "src")) for file in package.rglob("*") if file.is_file()}
    info = f"untrain-{untrain.__version__}.dist-info/"
    assert {name for name in wheel if not name.startswith(info)} == held
    assert "untrain/py.typed" in held and not any(name.endswith(".pyc") for name in held)
    assert {name.removeprefix(info) for name in set(wheel) - held} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
    }
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert files_of(built("wheel", unpacked, tmp_path / "again")) == wheel

    from packaging.metadata import Metadata

    told = Metadata.from_email(wheel[info + "METADATA"])  # refuses what is not valid
    assert told.name == "untrain" and str(told.version) == untrain.__version__ == version("untrain")
    assert told.license_expression == "Apache-2.0" and str(told.requires_python) == ">=3.11"
    assert set(told.provides_extra or ()) >= {"encoders", "ray", "serve", "diffusion", "datasets"}
    assert b"untrain = untrain.cli:main" in wheel[info + "entry_points.txt"]

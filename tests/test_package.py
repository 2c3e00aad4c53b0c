"""What is installed is what is here: data files go along, and nothing says that it was released."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import untrain
from tests.helpers.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "src" / "untrain"


def test_every_file_that_is_not_python_is_package_data() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["untrain"]
    known = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert others <= known, sorted(str(path.relative_to(ROOT)) for path in others - known)


def test_the_version_stands_in_one_place_and_what_is_unreleased_is_cited_so() -> None:
    assert "version" in PROJECT["project"]["dynamic"] and "version" not in PROJECT["project"]
    head = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert head and head[1] == untrain.__version__
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    if head[2] == "unreleased":
        assert "date-released" not in cited and "version" not in cited
    else:
        assert str(cited["version"]) == head[1] and str(cited["date-released"]) == head[2]


def test_every_extra_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    for extra, packages in PROJECT["project"]["optional-dependencies"].items():
        if extra in ("dev", "docs", "test"):
            continue
        row = re.search(rf"^\| `{extra}` \|.*$", page, re.MULTILINE)
        assert row, extra
        for package in packages:
            assert re.split(r"[\[>=<]", package)[0] in row[0], (extra, package)


def test_the_page_of_the_package_names_a_file_that_is_there() -> None:
    assert (ROOT / PROJECT["project"]["readme"]).is_file()
    assert Path(untrain.__file__).parent == PACKAGE


def test_the_lowest_versions_tried_are_those_that_are_promised() -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    tried = dict(line.split("==") for line in lines if "==" in line)
    project, wrong = PROJECT["project"], []
    asked = {k: v for k, v in project["optional-dependencies"].items() if k != "dev"}
    for need in [*project["dependencies"], *(need for needs in asked.values() for need in needs)]:
        found = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", need)
        assert found, need
        name, version = found.groups()
        if not re.fullmatch(rf"{re.escape(version)}(\.0)*", tried.get(name, "")):
            wrong.append(f"{need}: tried with {tried.get(name)}")
    assert not wrong, f"{'; '.join(wrong)}. Run `make lowest`, then `make test-lowest`"

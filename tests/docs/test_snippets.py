"""Every snippet of the README and the documentation does what it says, page by page.

A page is read as a person would: from top to bottom, in one folder. Blocks with a title are written
to that file, YAML is loaded as (part of) an experiment, Python is run, and of bash each line that
starts with ``untrain`` goes through the command line. Sizes are cut *after* a file and its options
were read and checked (`tests.docs.conftest.reduced`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.commands import Untrain
from tests.helpers.places import ROOT
from tests.helpers.snippets import PAGES, Block, blocks_of, command_lines

SHOWN = {"", "text", "csv", "json"}  # what somebody sees or writes; nothing to run

# What a test machine cannot do, with the reason. Any other line must run.
NOT_RUN = {
    r"make \w[\w-]*": "installs, or runs these very tests",
    r"git clone .*": "needs the network",
    r"python -m venv .*": "makes an environment; `make install` does the same",
    r"(\.venv/bin/)?pip install .*": "needs the network",
    r"\.venv/bin/untrain demo": "the demo in full takes minutes; `untrain demo` runs it small",
    r"untrain bank .* --share 0\.01 .*": "a hundredth of the demo made small is no image",
    r"ray start .*": "starts a cluster; tests/experiment/test_engines.py has one",
    r"untrain run .* --engine ray .*": "needs a cluster; tests/experiment/test_engines.py has one",
}
BENCHMARK = re.compile(r"python (benchmarks/\w+\.py) ?(.*)")

SLOW = {
    "docs/how-to/benchmark.md",
    "docs/how-to/diffusion.md",
    "docs/how-to/groups.md",
    "docs/how-to/opt-out.md",
    "docs/how-to/own-data.md",
    "docs/how-to/own-encoder.md",
    "docs/how-to/own-generator.md",
    "docs/how-to/own-model.md",
    "docs/how-to/reproduce-study.md",
    "docs/how-to/takedown.md",
    "docs/how-to/trace.md",
    "docs/how-to/unlearning.md",
    "docs/results/README.md",
    "docs/results/diffusion.md",
}

BASE: dict[str, Any] = {
    "name": "snippet",
    "data": {"format": "folder", "path": "photos"},
    "prompts": {"file": "prompts.txt"},
}


def with_snippets() -> list[Any]:
    """Return the pages that have any block, under their names."""
    pages = {str(page.relative_to(ROOT)): page for page in PAGES if any(blocks_of(page))}
    slow = pytest.mark.slow
    return [
        pytest.param(page, id=name, marks=[slow] if name in SLOW else [])
        for name, page in pages.items()
    ]


@pytest.mark.parametrize("document", with_snippets())
def test_page_does_what_it_says(document: Path, here: Path, untrain: Untrain) -> None:
    names: dict[str, Any] = {"__name__": "snippet"}
    before = set(sys.modules)
    try:
        for block in blocks_of(document):
            if block.title:
                (here / block.title).write_text(block.text)
            if block.language == "python":
                exec(compile(block.text, block.where, "exec"), names)
            elif block.language == "yaml":
                load_experiment(block, here)
            elif block.language == "bash":
                for line, words in command_lines(block):
                    run_line(block, line, words, untrain)
            else:
                assert block.language in SHOWN, f"{block.where}: what is '{block.language}'?"
    finally:
        for name in set(sys.modules) - before:  # what a page wrote must not be found by the next
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
                del sys.modules[name]


def run_line(block: Block, line: str, words: list[str], untrain: Untrain) -> None:
    benchmark = BENCHMARK.match(line)
    if benchmark:
        check_benchmark(block, ROOT / benchmark[1], benchmark[2])
    elif not any(re.fullmatch(pattern, " ".join(words)) for pattern in NOT_RUN):
        assert words[0] == "untrain", f"{block.where}: '{line}' is neither run nor in NOT_RUN"
        said = untrain(*words[1:])
        assert said.code == 0, f"{block.where}: {line}\n{said.out}{said.err}"


def check_benchmark(block: Block, script: Path, options: str) -> None:
    """Benchmarks take minutes and data: see that the script is there and has these options."""
    assert script.exists(), f"{block.where}: there is no {script.name}"
    source = script.read_text()
    for option in re.findall(r"--[a-z][\w-]*", options):
        assert f'"{option}"' in source, f"{block.where}: {script.name} has no {option}"


def load_experiment(block: Block, folder: Path) -> None:
    """Load a block as an experiment file; sections alone stand in one that has the rest."""
    from untrain.settings.load import load_config

    values = {**BASE, **yaml.safe_load(block.text)}
    file = folder / "snippet.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    load_config(file)


def test_a_model_of_forty_lines_has_forty_lines() -> None:
    blocks = {block.title: block.text for block in blocks_of(ROOT / "docs/how-to/own-generator.md")}
    lines = [line for line in blocks["my_model.py"].splitlines() if line.strip()]
    assert len(lines) <= 40


def test_what_is_not_run_is_there() -> None:
    lines = [
        " ".join(words)
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "bash"
        for _, words in command_lines(block)
    ]
    for pattern in NOT_RUN:
        assert any(re.fullmatch(pattern, line) for line in lines), f"no line is {pattern} any more"


def test_a_wrong_snippet_is_noticed(tmp_path: Path, here: Path, untrain: Untrain) -> None:
    block = Block(ROOT / "README.md", 1, "bash", "", "untrain plan experiment.yaml --no-such")
    with pytest.raises(AssertionError, match="no-such"):
        run_line(block, block.text, block.text.split(), untrain)
    with pytest.raises(AssertionError, match="neither run nor"):
        run_line(block, "rm -rf x", ["rm", "-rf", "x"], untrain)
    with pytest.raises(Exception, match="unknown key"):
        load_experiment(Block(ROOT / "README.md", 1, "yaml", "", "dta: {}"), here)

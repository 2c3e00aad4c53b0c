"""What starting loads: a command that only prints help must not wait for tables or networks."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "cv2", "torch"}
COMMAND = "from untrain.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"


def loaded(code: str, *arguments: str) -> set[str]:
    """Run Python in a process of its own; return which packages it has loaded in the end."""
    report = "import sys\nprint('', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["trace", "--help"], ["cache", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    names = loaded(COMMAND, *arguments)
    assert "typer" in names
    assert not names & HEAVY


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded("import untrain") & (HEAVY | {"typer", "rich"})


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        ("status", {"pandas", "scipy", "sklearn", "matplotlib", "cv2", "torch"}),
        ("show", {"scipy", "sklearn", "matplotlib", "cv2", "torch", "skimage", "transformers"}),
    ],
)
def test_looking_at_a_run_loads_what_it_shows(
    command: str, unneeded: set[str], micro_run: Path
) -> None:
    assert not loaded(COMMAND, command, str(micro_run)) & unneeded


def test_checking_settings_loads_no_network() -> None:
    code = (
        "from untrain.settings.load import make_config; "
        "make_config({'prompts': {'texts': ['red shirt']}, 'generator': {'precision': 'auto'}})"
    )
    assert not loaded(code) & {"torch", "transformers", "sklearn", "matplotlib", "diffusers"}


def test_a_trace_loads_neither_figures_nor_networks() -> None:
    code = "import untrain.search.trace, untrain.report.page.trace, untrain.report.page.trace"
    names = loaded(code)
    assert "pandas" in names
    assert not names & {"matplotlib", "sklearn", "torch"}

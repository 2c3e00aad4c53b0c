"""``untrain sign``: a signature under the files of a run or of the answer to a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.core.printing import Printer, escape

if TYPE_CHECKING:
    from untrain.runs.signing import Signed

SIGNERS = typer.Option(
    None,
    "--signers",
    help="Who may sign: a file with a name and a public key in each line (allowed signers of "
    "OpenSSH). Wrong, if nobody on it has signed.",
)


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("sign", rich_help_panel="Look at a run")(sign)


def sign(
    folder: Path = typer.Argument(
        help="A run folder, or what untrain takedown wrote: RUN/takedowns/REFERENCE.",
        show_default=False,
    ),
    key: Path = typer.Option(
        ...,
        "--key",
        help="A private key of OpenSSH, or the public one of a key that an agent holds.",
        show_default=False,
    ),
) -> None:
    """Sign the files of a run, or of the answer to a takedown request, with a key of OpenSSH.

    Writes SHA256SUMS and SHA256SUMS.sig into the folder. Everybody who has your public key can
    then tell that you had these files and that none was changed: by untrain verify --signers, or
    without untrain by ssh-keygen and sha256sum.

    Example: untrain sign runs/demo --key ~/.ssh/id_ed25519
    """
    from untrain.runs.signing import SIGNATURE, SUMS
    from untrain.runs.signing import sign as write

    count, found = write(folder, key)
    out = Printer(soft_wrap=True)
    out.print(f"{count:,} files of {escape(str(folder))} are signed with {escape(found)}.")
    out.print("To check it, with names and public keys of those who may sign in signers.txt:")
    out.print(f"  untrain verify {escape(str(folder))} --signers signers.txt")
    out.print(
        f"  or without untrain, in that folder: ssh-keygen -Y verify -n untrain -f signers.txt "
        f"-I NAME -s {SIGNATURE} < {SUMS} && sha256sum --quiet -c {SUMS}"
    )


def signature_of(folder: Path, signers: Path | None) -> Signed | None:
    """Return what is found of a signature; None where there is none and none was asked for."""
    from untrain.runs.signing import is_signed, verify_signature

    return verify_signature(folder, signers) if signers or is_signed(folder) else None


def lines_of(found: Signed) -> Iterator[str]:
    """Yield what is said of a signature, each line with markup."""
    from untrain.runs.signing import SUMS

    right, wrong = "[green]as it should be[/]", "[bold red]WRONG[/]"
    open_ = "[yellow]not checked[/]"
    if not found.key:
        yield f"{wrong}: the signature is not of {SUMS} as it is now"
    elif found.signer:
        yield f"{right}: signed by {escape(found.signer)} ({escape(found.key)})"
    elif found.trusted:
        yield f"{wrong}: signed with {escape(found.key)}, which is not on the list of signers"
    else:
        yield f"{open_}: whose key it is: {escape(found.key)} (--signers tells)"
    for names, what in ((found.changed, "changed since it was signed"), (found.missing, "missing")):
        if names:
            yield f"{wrong}: {_some(names)}: {what}"
    if not (found.changed or found.missing):
        yield f"{right}: the {found.files:,} files are those that were signed"
    if found.added:
        yield f"{open_}: not signed, as it came later: {_some(found.added)}"


def _some(names: tuple[str, ...], shown: int = 3) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return escape(", ".join(names[:shown])) + more

"""Pictures of the page of ``untrain serve``, for its how-to: three widths, light and dark.

    python benchmarks/serve_pictures.py runs/demo            # writes docs/how-to/serve-*.png

Takes a finished run on rendered pictures (``untrain demo``), as pictures of somebody else are not
for publication, serves it on a free port of this machine, asks about the first picture that the run
drew, and looks at the answer, the run, the groups and the form of a takedown request in a headless
Chromium (``make browser`` installs one). Files are reduced to 256 colours.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs" / "how-to"
WIDTHS = {400: 780, 1280: 900, 2000: 1100}
"""Of the window, with its height, pixels."""
THEMES = ("light", "dark")
COLOURS = 256
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    """Serve the run, take the pictures, stop the server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run on rendered pictures")
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    command = [sys.executable, "-c", "from untrain.cli import main; main()", "serve"]
    with tempfile.TemporaryDirectory() as place:
        where = ["--runs", str(given.run.parent), "--requests", place]
        server = subprocess.Popen(
            [*command, str(given.run), *where, "--port", "0", "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONUNBUFFERED="1"),
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[1].rstrip("/")
            while not json.load(urlopen(f"{address}/state"))["ready"]:
                time.sleep(0.5)
            take(address, given.run, given.out)
        finally:
            server.terminate()
            server.wait()


def take(address: str, run: Path, out: Path) -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    drawn = next(iter(sorted((run / "queries").glob("*/*.png"))))
    picture = {"name": "generated.png", "mimeType": "image/png", "buffer": drawn.read_bytes()}
    with sync_playwright() as started:
        path = next((found for name in NAMES if (found := shutil.which(name))), None)
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=path, args=options)
        answer = ""
        for theme in THEMES:
            for width, height in WIDTHS.items():
                view = {"width": width, "height": height}
                page = browser.new_page(viewport=view, color_scheme=theme)
                page.set_default_timeout(120_000)
                if not answer:
                    page.goto(address)
                    page.set_input_files("#files", picture)
                    page.click("#ask:not([disabled])")
                    page.wait_for_selector(".hits li")
                    answer = page.url
                save(page, answer, out / f"serve-answer-{width}-{theme}.png")
                if width == 1280:
                    of_run = f"{address}/runs/{run.name}#pictures"
                    save(page, of_run, out / f"serve-run-{theme}.png")
                    save(page, f"{address}/browse/groups", out / f"serve-groups-{theme}.png")
                    save(page, f"{address}/takedowns", out / f"serve-takedown-{theme}.png")
                page.close()
        browser.close()


def save(page: Any, address: str, path: Path) -> None:
    """Save what the window shows, in few colours."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    with Image.open(io.BytesIO(page.screenshot())) as image:
        few = image.convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE)
    few.save(path, "PNG", optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""The tests marked ``gpu``, a row each as they finish."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from gpu.results import Item, Row, Setting

ROOT = Path(__file__).resolve().parents[2]
FILES = ("test_bits", "test_attention", "test_precisions", "test_generators")
LINE = re.compile(r"^(tests/\S+::\S.*?) (PASSED|FAILED|ERROR|SKIPPED)")


def items(at: Setting) -> Iterator[Item]:
    """Yield a row for each file: what passed, what did not, and how it failed."""
    import torch

    yield "machine", _machine
    for name in FILES[1:2] if at.miniature else FILES:
        yield name, lambda name=name: _run(name, at, torch.cuda.is_available())


def _machine() -> Row:
    import platform

    import torch

    from untrain.core.hardware import device, has_fast_bfloat16
    from untrain.generators.dalle.presets import preset_of
    from untrain.generators.dalle.stacked import stack_size

    gpu = torch.cuda.get_device_properties(0) if device().type == "cuda" else None
    return {
        "device": gpu.name if gpu else platform.processor() or platform.machine(),
        "GiB": round(gpu.total_memory / 2**30, 1) if gpu else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "fast bfloat16": has_fast_bfloat16(),
        "stacks": {name: stack_size(preset_of(name)) for name in ("tiny", "small", "seed")},
    }


def _run(name: str, at: Setting, gpu: bool) -> Row:
    """Run a file of tests; where there is no GPU, what of it runs on a CPU, one for all."""
    path = f"tests/gpu/{name}.py"
    which = "gpu" if gpu else "not gpu and not slow"
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-v", "--tb=short", "-m", which]
    options += ["-k", "in_parts"] if at.miniature else []
    command = [sys.executable, "-m", "pytest", path, *options]
    paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    started = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert started.stdout
    clock = threading.Timer(max(1.0, at.left), os.killpg, (started.pid, signal.SIGKILL))
    clock.start()
    lines, found = [], {"PASSED": 0, "SKIPPED": 0}
    failed: list[str] = []
    try:
        for line in started.stdout:
            lines.append(line.rstrip())
            if match := LINE.match(line):
                test, state = match.group(1).partition("::")[2], match.group(2)
                if state in found:
                    found[state] += 1
                else:
                    failed.append(test)
        code = started.wait()
    finally:
        clock.cancel()
    row: Row = {"passed": found["PASSED"], "skipped": found["SKIPPED"], "failed": failed}
    if code not in (0, 5):  # 5: no test was chosen
        begin = next((i for i, line in enumerate(lines) if "FAILURES" in line), -40)
        row["error"] = f"ended with {code}\n" + "\n".join(lines[begin:])[:6000]
    return row

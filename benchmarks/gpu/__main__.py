"""`python benchmarks/gpu`: with the other benchmarks and this checkout's library on the path."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT / "benchmarks"), str(ROOT / "src")]
known = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]  # of processes that it starts
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, known))

from gpu.main import main  # noqa: E402

if __name__ == "__main__":
    main()

"""`python benchmarks/gpu`: the folder beside which the other benchmarks lie is put on the path."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from gpu.main import main  # noqa: E402

if __name__ == "__main__":
    main()

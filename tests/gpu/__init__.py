"""What must hold on a GPU. `pytest -m gpu` runs it there; the same on a CPU is among the others."""

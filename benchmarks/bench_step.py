"""A training step in other ways, in turns: AdamW's three implementations, and compiled blocks.

    python benchmarks/bench_step.py --preset tiny small

For each way: its seconds beside the product's own (fused AdamW, nothing compiled), what the first
steps cost (compiling), and how far its weights are from the product's after as many steps, as a
share of how far those have come: 0 is the same bits. With one thread, seconds are processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from gpu.pace import finish, tokens
from untrain.core.hardware import PRECISIONS, Precision, default_precision, deterministic, device
from untrain.generators.dalle.presets import PRESETS, Preset, preset_of
from untrain.generators.dalle.training import _optimizer, pair_losses
from untrain.generators.dalle.transformer import Transformer

Step = Callable[[], None]
FIRST, TEXT = 2, 24
"""Steps that are not timed, and tokens of a caption."""
WAYS: dict[str, tuple[dict[str, bool], bool]] = {
    "fused, as it is": ({"fused": True, "foreach": False}, False),
    "foreach": ({"fused": False, "foreach": True}, False),
    "one by one": ({"fused": False, "foreach": False}, False),
    "compiled blocks": ({"fused": True, "foreach": False}, True),
}


def step_of(preset: Preset, way: str, precision: Precision) -> tuple[nn.Module, Step]:
    """Return a model at its start, and what takes its next step, always on the same batch."""
    optimised, compiled = WAYS[way]
    torch.manual_seed(0)
    model = Transformer(preset, preset.vocabulary).to(device())
    optimizer = _optimizer(model, preset)
    for group in optimizer.param_groups:
        group.update(optimised)
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=False)
    data = tokens(preset, preset.batch, TEXT)
    batch = [torch.from_numpy(each).to(device()) for each in (data.text, data.image)]

    def step() -> None:
        with deterministic():
            loss = pair_losses(model, *batch, preset, precision).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), preset.clip)
            optimizer.step()

    return model, step


def weights(model: nn.Module) -> torch.Tensor:
    """Return all of them in one row."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def took(step: Step) -> float:
    """Return the seconds of one call: of one thread the processor's, which company costs less."""
    alone = device().type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    finish()
    start = clock()
    step()
    finish()
    return clock() - start


def main() -> None:
    """Print a table for each preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", nargs="+", choices=sorted(PRESETS), default=["tiny"])
    parser.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.preset:
        preset = preset_of(name)
        made = {way: step_of(preset, way, args.precision) for way in WAYS}
        start = weights(made["one by one"][0])
        first = {way: sum(took(step) for _ in range(FIRST)) for way, (_, step) in made.items()}
        turns = [{w: took(step) for w, (_, step) in made.items()} for _ in range(args.repeats)]
        own = weights(made["fused, as it is"][0])
        print(f"\n{name}, {args.precision}, {args.threads} threads, {preset.batch} pairs a step\n")
        print("| | ms a step | times as fast | first steps, s | away |\n|---|--:|--:|--:|--:|")
        middle = {way: float(np.median([turn[way] for turn in turns])) for way in WAYS}
        for way, (model, _) in made.items():
            away = float((weights(model) - own).norm() / (own - start).norm())
            faster = middle["fused, as it is"] / middle[way]
            cells = f"{1000 * middle[way]:.2f} | {faster:.2f} | {first[way]:.2f} | {away:.1e}"
            print(f"| {way} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

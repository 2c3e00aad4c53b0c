"""What untrain does on a machine with one GPU: same bits where they are promised, and how fast.

    python benchmarks/gpu.py --out gpu-results
    python benchmarks/gpu.py --out /tmp/tiny --tiny  # on any machine: does it work?

Steps run one after another, each guarded: one that fails leaves its error, and the next begins.
After ``--minutes`` no step is begun any more, and the demo is ended. ``results.json`` and
``results.md`` in the folder are written again after every step. No network is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from untrain.core.hardware import PRECISIONS, Precision, device, has_fast_bfloat16
from untrain.generators.base import Noise
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.stacked import bytes_of_one, stack_size, train_stacked
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.dalle.transformer import Transformer, log_likelihood, sample
from untrain.generators.noise import noise_batch

Row = dict[str, Any]
Step = Callable[["Setting"], Iterator[Row]]
TEXT = 24  # tokens of a caption
STACKS = (1, 2, 4, 8, 16)
WORTH = 0.6  # share of the GPU's memory that a stack may be estimated to take


@dataclass(frozen=True)
class Setting:
    """How much is done: ``seconds`` is what one timing should take."""

    tiny: bool
    out: Path
    until: float

    @property
    def seconds(self) -> float:
        """Of one timing."""
        return 0.1 if self.tiny else 1.2

    @property
    def presets(self) -> list[str]:
        """Of the reference model."""
        return ["micro"] if self.tiny else ["tiny", "small", "seed"]

    @property
    def stacks(self) -> tuple[int, ...]:
        """Sizes of stacks."""
        return (1, 2) if self.tiny else STACKS

    @property
    def left(self) -> float:
        """Seconds until no step is begun any more."""
        return self.until - time.monotonic()


def silent(n: int) -> None:
    """Take a report of progress."""


def finish() -> None:
    """Wait for the GPU."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    finish()
    start = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - start


def tokens(preset: Preset, pairs: int, models: int | None = None) -> TokenData:
    """Return random tokens; with ``models``, each is trained without a tenth of them."""
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (pairs, TEXT))
    image = draw.integers(0, preset.codes, (pairs, preset.positions))
    kept = np.ones(pairs, bool) if models is None else draw.random((models, pairs)) >= 0.1
    return TokenData(text, image, kept, preset.vocabulary)


def states(models: list[tuple[Transformer, list[float]]]) -> list[dict[str, torch.Tensor]]:
    """Return the weights of trained models."""
    return [model.state_dict() for model, _ in models]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Tell whether two models have the same bits."""
    return all(torch.equal(a[name], b[name]) for name in a)


# Steps: each yields rows of a table --------------------------------------------------------------


def machine(at: Setting) -> Iterator[Row]:
    """The machine."""
    gpu = torch.cuda.get_device_properties(0) if device().type == "cuda" else None
    yield {
        "device": gpu.name if gpu else platform.processor() or platform.machine(),
        "memory GiB": round(gpu.total_memory / 2**30, 1) if gpu else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "fast bfloat16": has_fast_bfloat16(),
        "stack size": {name: stack_size(preset_of(name)) for name in at.presets},
    }


def same_bits(at: Setting) -> Iterator[Row]:
    """Do paired models have the same bits where they must?"""
    preset = preset_of("micro" if at.tiny else "tiny", epochs=1)
    for precision in PRECISIONS:
        rest = preset, 3, silent, precision
        data = tokens(preset, 4 * preset.batch)
        one, again = states([train_transformer(data, *rest), train_transformer(data, *rest)])
        yield {
            "precision": precision,
            "what": "trained twice",
            "promised": True,
            "same": same(one, again),
        }
        fewer = data.kept.copy()
        fewer[::7] = False
        other = train_transformer(replace(data, kept=fewer), *rest)[0].state_dict()
        differs = {"what": "one with a removal", "promised": False, "same": same(one, other)}
        yield {"precision": precision} | differs
        for size in at.stacks[1:]:
            stack = tokens(preset, 4 * preset.batch, size)
            first = states(train_stacked(stack, *rest))
            turned = states(train_stacked(replace(stack, kept=stack.kept[::-1].copy()), *rest))
            alone = stack.kept.copy()
            alone[1:] = True
            among = states(train_stacked(replace(stack, kept=alone), *rest))
            moved = all(same(a, b) for a, b in zip(first, turned[::-1], strict=True))
            told = f"stack of {size}:"
            row: Row = {"precision": precision, "promised": True}
            yield row | {"what": f"{told} rows moved", "same": moved}
            others = same(first[0], among[0])
            yield row | {"what": f"{told} other models beside", "same": others}


def contract(at: Setting) -> Iterator[Row]:
    """The checks of the generators' contract."""
    from untrain.generators.registry import make_generator
    from untrain.testing import check_generator

    for name, preset in (("dalle", "micro"), ("diffusion", "diffusion-micro")):
        for precision in PRECISIONS:
            if at.tiny and (name, precision) != ("dalle", "float32"):
                continue

            def make(name: str = name, preset: str = preset, precision: str = precision) -> Any:
                return make_generator(name, 0, precision, preset=preset, settings={"epochs": 2})

            try:
                passed, failed = check_generator(make), ""
            except AssertionError as error:
                passed, failed = [], str(error)
            except ImportError as error:  # diffusers is optional
                passed, failed = [], f"not run: {error}"
            row = {"generator": name, "precision": precision, "passed": len(passed)}
            yield row | {"failed": failed}


def training(at: Setting) -> Iterator[Row]:
    """Training of the reference model, pairs per second of all models in the stack."""
    for name in at.presets:
        preset = preset_of(name, epochs=1)
        for precision in PRECISIONS:
            for size in (None, *at.stacks):
                row: Row = {"preset": name, "precision": precision, "stack": size or "-"}
                if device().type == "cuda":
                    memory = torch.cuda.get_device_properties(0).total_memory
                    if (size or 1) * bytes_of_one(preset, TEXT) > WORTH * memory:
                        yield row | {"pairs/s": "too large"}
                        continue
                    torch.cuda.reset_peak_memory_stats()
                yield row | _rate(preset, precision, size, at)


def _rate(preset: Preset, precision: Precision, size: int | None, at: Setting) -> Row:
    def work(pairs: int) -> float:
        data = tokens(preset, pairs, size)
        train = train_transformer if size is None else train_stacked
        return timed(lambda: train(data, preset, 0, silent, precision))  # type: ignore[operator]

    few = 2 * preset.batch
    work(few)
    pairs = int(np.clip(at.seconds * few / work(few), few, 4096)) // preset.batch * preset.batch
    rate = (size or 1) * pairs / work(pairs)
    found: Row = {"pairs/s": round(rate, 1)}
    if device().type == "cuda":
        found["MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
        torch.cuda.empty_cache()
    return found


def drawing(at: Setting) -> Iterator[Row]:
    """Drawing and likelihoods of the reference model, pictures per second."""
    pictures = 4 if at.tiny else 64
    for name in at.presets:
        preset = preset_of(name)
        torch.manual_seed(0)
        model = Transformer(preset, preset.vocabulary).to(device()).eval().requires_grad_(False)
        data = tokens(preset, pictures)
        keys = [("p", i) for i in range(pictures)]
        noise = noise_batch(Noise("gumbel", (preset.positions, preset.codes)), 0, keys)
        works = {
            "drawing": lambda m=model, d=data, n=noise, p=preset: sample(m, d.text, n, p),
            "likelihood": lambda m=model, d=data: log_likelihood(m, d.text, d.image, 16),
        }
        for what, work in works.items():
            if name != "seed":
                work()
            yield {"preset": name, "what": what, "pictures/s": round(pictures / timed(work), 2)}


def diffusion(at: Setting) -> Iterator[Row]:
    """Training of the diffusion model, pairs per second."""
    from untrain.catalogs import rendered
    from untrain.generators.registry import make_generator

    catalog = rendered(families=4, size_of_family=2, resolution=16)
    preset = "diffusion-micro" if at.tiny else "diffusion-tiny"
    for precision in PRECISIONS:
        generator = make_generator("diffusion", 0, precision, preset=preset)
        cost = generator.cost(catalog)
        assert cost is not None
        rate = generator.fit_work(catalog) / cost.seconds
        yield {"preset": preset, "precision": precision, "pairs/s": round(rate, 1)}


def encoders(at: Setting) -> Iterator[Row]:
    """Features, images per second: encoders compute on the CPU."""
    import transformers

    from untrain.encoders import load_encoder

    images = list(
        np.random.default_rng(0).integers(0, 256, (16 if at.tiny else 256, 64, 64, 3), np.uint8)
    )
    layout = load_encoder("layout")
    rate = len(images) / timed(lambda: layout.encode(images))
    yield {"encoder": "layout", "where": "cpu", "images/s": round(rate, 1)}
    size, width = (32, 32) if at.tiny else (224, 384)
    config = transformers.ViTConfig(
        hidden_size=width, num_hidden_layers=2 if at.tiny else 12, num_attention_heads=4,
        intermediate_size=4 * width, image_size=size, patch_size=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ViTModel(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        square = {"height": size, "width": size}
        transformers.ViTImageProcessor(size=square).save_pretrained(folder)
        encoder = load_encoder("transformers", path=folder)
        few = images[: 16 if at.tiny else 64]
        encoder.encode(few)
        rate = len(few) / timed(lambda: encoder.encode(few))
    name = f"random ViT, {sum(p.numel() for p in model.parameters()) / 1e6:.0f} M weights"
    yield {"encoder": name, "where": "cpu", "images/s": round(rate, 1)}
    model, pixels = model.to(device()), torch.randn(16, 3, size, size, device=device())
    with torch.inference_mode():
        model(pixel_values=pixels)
        rate = 16 / timed(lambda: model(pixel_values=pixels))
    yield {"encoder": f"{name}: forward", "where": device().type, "images/s": round(rate, 1)}


def micro_run(at: Setting) -> Iterator[Row]:
    """A whole run of the preset micro, seconds a stage."""
    yield from _demo(at, "micro")


def demo_run(at: Setting) -> Iterator[Row]:
    """A whole demo, seconds a stage, and what it found."""
    yield from _demo(at, "micro" if at.tiny else "demo")


def _demo(at: Setting, preset: str) -> Iterator[Row]:
    runs = at.out / "runs"
    command = [sys.executable, "-c", "from untrain.cli import main; main()"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "demo", "--preset", preset, "--runs", str(runs)],
        capture_output=True,
        text=True,
        timeout=max(30.0, at.left),
        check=False,
    )
    took = time.perf_counter() - start
    (at.out / f"{preset}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"the run failed: {(done.stdout + done.stderr)[-2000:]}")
    record = json.loads((runs / preset / "run.json").read_text(encoding="utf-8"))
    for name, entry in record["stages"].items():
        yield {"stage": name, "seconds": entry["seconds"]}
    yield {"stage": "all, with start-up", "seconds": round(took, 1)}
    yield {"stage": "machine", "seconds": "", "found": record["machine"]}
    summary = (runs / preset / "results" / "summary.json").read_text(encoding="utf-8")
    yield {"stage": "summary", "seconds": "", "found": json.loads(summary)}


STEPS = (
    *(machine, same_bits, training, micro_run, demo_run),
    *(drawing, diffusion, encoders, contract),
)


def written(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = ["# untrain on one machine\n"]
    for name, found in results.items():
        parts.append(f"## {found['what']} ({name}, {found['seconds']} s)\n")
        rows = found["rows"]
        if rows:
            columns = list(dict.fromkeys(key for row in rows for key in row))
            lines = [columns, ["---"] * len(columns)]
            lines += [[_cell(row.get(key, "")) for key in columns] for row in rows]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
        if found["error"]:
            parts.append(f"```\n{found['error']}\n```\n")
    return "\n".join(parts)


def _cell(value: Any) -> str:
    told = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return told.replace("|", "/").replace("\n", " ")[:600]


def parser_of(description: str | None, steps: Sequence[Step], minutes: float) -> Any:
    """Return a parser of what every script of steps takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--tiny", action="store_true", help="as little of everything as works")
    parser.add_argument("--minutes", type=float, default=minutes)
    names = [step.__name__ for step in steps]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    return parser


def run_steps(steps: Sequence[Step], only: Sequence[str], at: Setting) -> None:
    """Run steps; exit with 1 if one failed."""
    at.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for step in steps:
        name, what = step.__name__, (step.__doc__ or "").strip().rstrip(".")
        if name not in only:
            continue
        found: dict[str, Any] = {"what": what, "rows": [], "error": "", "seconds": 0.0}
        results[name] = found
        start = time.monotonic()
        print(f"{name}: {what}", flush=True)
        if at.left <= 0:
            found["error"] = "not begun: the time is over"
        else:
            try:
                for row in step(at):
                    found["rows"].append(row)
                    print("   ", _cell(row), flush=True)
                    if at.left <= 0:
                        found["error"] = "ended: the time is over"
                        break
            except Exception:
                found["error"] = traceback.format_exc()[-3000:]
        if found["error"]:
            print(found["error"], flush=True)
        found["seconds"] = round(time.monotonic() - start, 1)
        told = json.dumps(results, indent=1, default=str)
        (at.out / "results.json").write_text(told, encoding="utf-8")
        (at.out / "results.md").write_text(written(results), encoding="utf-8")
    raise SystemExit(any(found["error"] for found in results.values()))


def main() -> None:
    """Run all steps; exit with 1 if one failed."""
    args = parser_of(__doc__, STEPS, 6.5).parse_args()
    run_steps(STEPS, args.only, Setting(args.tiny, args.out, time.monotonic() + 60 * args.minutes))


if __name__ == "__main__":
    main()

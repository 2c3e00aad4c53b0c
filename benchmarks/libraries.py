"""Other libraries' attribution beside untrain's, on one exported benchmark, one model, one machine.

``untrain benchmark export runs/demo -o benchmark`` writes a folder; this scores it by dattri and
kronfluence, as their authors would (they see ``model.py`` and the tokens in it, nothing of
untrain), and by untrain's own methods. Each method has a process of its own. Libraries that are
not installed are left out::

    pip install --no-deps dattri==0.3.0 kronfluence==1.0.1 einconv einops opt_einsum
    python benchmarks/libraries.py benchmark --out libraries.csv

Settings are the libraries' defaults, unless said below. Output: what is differentiated, nll (the
losses) or squared (the mean square of the image logits). Layers: all linear ones of the blocks and
the image head. Seconds: from the loaded model to the scores, all in. MiB: most memory above that.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset, TensorDataset

from untrain import Benchmark
from untrain.attribution.registry import ATTRIBUTORS, make_attributor

BATCH = 64
NUMBERS = 1024  # of a row and a layer in dattri's LoGra: of the 18 layers about as many as ours
INSTALL = {
    "dattri": "pip install --no-deps dattri==0.3.0",
    "kronfluence": "pip install --no-deps kronfluence==1.0.1 einconv einops opt_einsum",
}


@dataclass(frozen=True, eq=False)
class Given:
    """What an author finds in the folder, loaded by its own ``model.py``."""

    source: ModuleType
    model: nn.Module
    preset: SimpleNamespace
    pairs: dict[str, torch.Tensor]
    queries: dict[str, torch.Tensor]

    @classmethod
    def load(cls, folder: Path, benchmark: Benchmark) -> Given:
        """Read model, pairs and queries."""
        spec = importlib.util.spec_from_file_location("model_of_benchmark", folder / "model.py")
        assert spec and spec.loader
        source = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(source)
        model, preset = source.load()
        pairs = source.pairs(range(len(benchmark.catalog)))
        return cls(source, model, preset, pairs, source.queries(range(len(benchmark.queries))))

    @property
    def layers(self) -> list[str]:
        """Names of the linear layers that a picture's likelihood depends on."""
        found = self.model.named_modules()
        return [n for n, m in found if isinstance(m, nn.Linear) and n != "text_head"]

    def values(self, model: Any, text: Any, image: Any, asked: bool, output: str) -> torch.Tensor:
        """Return the output of each pair, or of each query if they are asked about, (n,)."""
        if output == "squared":
            logits: torch.Tensor = model(text, image)[1]
            return logits.square().flatten(1).mean(1)
        if asked:
            found: torch.Tensor = self.source.query_losses(model, text, image)
            return found
        losses: torch.Tensor = self.source.pair_losses(model, text, image, self.preset)
        return losses


class Rows(Dataset):
    """Tensors of one length as a data set of dictionaries."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {name: tensor[row] for name, tensor in self.tensors.items()}


def dattri_trak(given: Given, output: str) -> np.ndarray:
    """TRAK with 512 numbers a row, its default, and weights of 1 for all pairs."""
    from dattri.algorithm.trak import TRAKAttributor
    from dattri.task import AttributionTask
    from torch.func import functional_call

    def of(asked: bool) -> Callable[[Any, Any], torch.Tensor]:
        def value(weights: Any, data: Any) -> torch.Tensor:
            def called(text: torch.Tensor, image: torch.Tensor) -> Any:
                return functional_call(given.model, weights, (text, image))

            text, image = data
            return given.values(called, text[None], image[None], asked, output)[0]

        return value

    task = AttributionTask(
        loss_func=of(False),
        target_func=of(True),
        model=given.model,
        checkpoints=given.model.state_dict(),
    )
    trak = TRAKAttributor(
        task,
        correct_probability_func=lambda weights, data: data[0].sum() * 0.0,
        layer_name=[f"{name}.weight" for name in given.layers],
    )
    pairs, queries = (
        DataLoader(TensorDataset(each["text"], each["image"]), batch_size=BATCH)
        for each in (given.pairs, given.queries)
    )
    with sdpa_kernel(SDPBackend.MATH):  # under vmap the fused kernel falls back to a slow loop
        trak.cache(pairs)
        with torch.no_grad():
            return trak.attribute(queries).T.numpy()


def dattri_logra(given: Given, output: str) -> np.ndarray:
    """LoGra with 1,024 numbers a row and layer; the damping is a tenth of the mean eigenvalue."""
    from dattri.algorithm.logra import LoGraAttributor
    from dattri.task import AttributionTask

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = given.model

        def forward(self, text: Any, image: Any, asked: Any) -> SimpleNamespace:
            each = given.values(self.inner, text, image, bool(asked[0]), output)
            return SimpleNamespace(loss=each.mean())

    # It takes views of the inputs, and those of the head are the end of longer sequences.
    given.model.image_head.register_forward_pre_hook(lambda layer, inputs: inputs[0].contiguous())
    model = Loss()
    task = AttributionTask(
        loss_func=lambda model, batch, device: model(**batch).loss,
        model=model,
        checkpoints=model.state_dict(),
    )
    logra = LoGraAttributor(
        task,
        layer_names=[f"inner.{name}" for name in given.layers],
        damping=0.1,
        proj_dim=NUMBERS,
    )
    pairs, queries = (
        DataLoader(Rows(**each, asked=torch.full((len(each["text"]),), asked)), batch_size=BATCH)
        for each, asked in ((given.pairs, False), (given.queries, True))
    )
    logra.cache(pairs)
    return logra.attribute(pairs, queries).T.detach().numpy()


def kronfluence_ekfac(given: Given, output: str) -> np.ndarray:
    """EK-FAC influence; Fisher of sampled tokens, damping by its rule of a tenth of the mean."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import ScoreArguments
    from kronfluence.task import Task

    def drawn(logits: torch.Tensor) -> torch.Tensor:
        flat = logits.detach().flatten(0, -2).softmax(-1)
        return torch.multinomial(flat, 1).view(logits.shape[:-1])

    class Tokens(Task):
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> torch.Tensor:
            text, image = batch["text"], batch["image"]
            if not sample:
                return given.values(model, text, image, False, output).sum()
            logits = model(text, image)
            # What the model would draw takes the place of the targets; the captions stay inputs.
            targets = [drawn(each) for each in logits]
            image_nll = given.source._nll(logits[1], targets[1]).mean(-1)
            real = (text[:, 1:] != 0) & (text[:, :-1] != 0)
            text_nll = given.source._nll(logits[0], targets[0]) * real
            text_nll = text_nll.sum(-1) / real.sum(-1).clamp(min=1)
            weight = given.preset.image_weight
            return ((weight * image_nll + text_nll) / (weight + 1)).sum()

        def compute_measurement(self, batch: Any, model: Any) -> torch.Tensor:
            return given.values(model, batch["text"], batch["image"], True, output).sum()

        def get_influence_tracked_modules(self) -> list[str]:
            return given.layers

    task = Tokens()
    model = prepare_model(given.model, task)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "benchmark", model, task, cpu=True, disable_tqdm=True, output_dir=folder
        )
        pairs, queries = Rows(**given.pairs), Rows(**given.queries)
        analyzer.fit_all_factors("ekfac", pairs, per_device_batch_size=BATCH)
        analyzer.compute_pairwise_scores(
            "scores",
            "ekfac",
            queries,
            pairs,
            per_device_query_batch_size=len(queries),
            per_device_train_batch_size=BATCH,
            score_args=ScoreArguments(damping_factor=None),
        )
        found: np.ndarray = analyzer.load_pairwise_scores("scores")["all_modules"].numpy()
    return found


LIBRARIES: dict[str, tuple[Callable[[Given, str], np.ndarray], tuple[str, ...]]] = {
    "dattri:trak": (dattri_trak, ("squared", "nll")),
    "dattri:logra": (dattri_logra, ("squared", "nll")),
    "kronfluence:ekfac": (kronfluence_ekfac, ("nll",)),
}
OURS = ("dtrak", "trak:nll", "logra:squared", "logra:nll", "ekfac", "nda")
METHODS = (*(f"{n}:{output}" for n, (_, outputs) in LIBRARIES.items() for output in outputs), *OURS)


def scores_of(method: str, folder: Path) -> tuple[np.ndarray, dict[str, float]]:
    """Return the scores of a method (prompts, images), and what they took."""
    benchmark = Benchmark(folder)
    name, _, output = method.rpartition(":")
    work: Callable[[], np.ndarray]
    if name in LIBRARIES:
        given = Given.load(folder, benchmark)

        def work() -> np.ndarray:
            # dattri's LoGra leaves a batch_metadata.json in the folder that it is called from.
            with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
                by_picture = LIBRARIES[name][0](given, output)
            queries = benchmark.queries
            return np.stack([by_picture[queries.rows(p)].mean(0) for p in queries.prompt_ids])
    else:
        evidence = benchmark.evidence(benchmark.model())

        def work() -> np.ndarray:
            return make_attributor(method).scores(evidence).values

    before, start = _peak(), time.perf_counter()
    values = work()
    return values, {"seconds": time.perf_counter() - start, "mib": _peak() - before}


def _peak() -> float:
    """Return the most memory that this process has held, MiB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def missing(method: str) -> str | None:
    """Return why a method cannot be tried here; None if it can."""
    library = method.partition(":")[0]
    if library in INSTALL and importlib.util.find_spec(library) is None:
        return f"{library} is not installed: {INSTALL[library]}"
    if library not in INSTALL and library not in ATTRIBUTORS:
        return "this untrain has no such method"
    return None


def measured(methods: Iterable[str], folder: Path, threads: int) -> Iterable[dict[str, Any]]:
    """Yield the row of each method that can be tried, each from a process of its own."""
    benchmark = Benchmark(folder)
    for method in methods:
        if (why := missing(method)) is not None:
            print(f"{method}: left out, {why}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as place:
            environment = os.environ | {
                "OMP_NUM_THREADS": str(threads),
                "TORCH_COMPILE_DISABLE": "1",  # of dattri's LoGra, which would need a compiler
                "UNTRAIN_CACHE": place,  # nothing that was computed before
            }
            call = [sys.executable, __file__, str(folder), "--work", method, "--out", place]
            done = subprocess.run(call, env=environment, capture_output=True, text=True)
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:]
                print(f"{method}: failed, {''.join(last)}", flush=True)
                continue
            took = json.loads(Path(place, "took.json").read_text())
            board = benchmark.score(np.load(Path(place, "scores.npy")), name="it")
        row = board.table.set_index("name").loc["it"]
        yield {"method": method, **row.drop(["kind", "filled"]).to_dict(), **took}


def main() -> None:
    """Print a table, and write it."""
    import pandas as pd

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what `untrain benchmark export` wrote")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="METHOD")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the table to this file (CSV)")
    parser.add_argument("--work", help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args()
    if given.work:
        torch.manual_seed(0)
        values, took = scores_of(given.work, given.folder)
        np.save(given.out / "scores.npy", values)
        (given.out / "took.json").write_text(json.dumps(took))
        return
    rows = []
    for row in measured(given.methods, given.folder, given.threads):
        rows.append(row)
        print(
            f"{row['method']:<24} LDS {row['lds']:.3f} [{row['lds_low']:.3f}, "
            f"{row['lds_high']:.3f}] | effect {row['effect']:+.2f} | family "
            f"{row['family_precision']:.0%} | {row['seconds']:.1f} s | {row['mib']:.0f} MiB",
            flush=True,
        )
        if given.out:
            pd.DataFrame(rows).to_csv(given.out, index=False)


if __name__ == "__main__":
    main()

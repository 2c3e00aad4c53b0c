"""One model trained by several processes, each on a GPU of its own, through accelerate.

For a large model that is trained by itself, as model A is; where there are many models, each gets a
GPU. Every process has all weights and computes its share of each batch, and the gradients are
averaged before they are clipped: the start, the batches and the steps are those of one process, up
to rounding. `train_across` starts this module as a program, with torch's own launcher, since a
process that has used its GPU can neither be forked nor join others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import torch

from untrain.core import disk
from untrain.core.errors import UntrainError
from untrain.core.files import read_json, write_json
from untrain.core.hardware import Precision, device
from untrain.core.outside import read_bytes
from untrain.core.tensors import read_torch, write_arrays, write_torch
from untrain.generators.base import Progress
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.stacked import bytes_of_one
from untrain.generators.dalle.training import TokenData, descend_tokens
from untrain.generators.dalle.transformer import Transformer

LARGE = 2**30
"""Bytes in training from which a model is worth several GPUs; a smaller one waits for kernels."""

PASSED = "untrain-passed "  # what a line begins with that reports progress
FAILED, PRINTED = "failed.txt", "errors.txt"  # what failed first; all that processes complained of
END_SECONDS = 10.0  # for processes to end before they are killed


def processes_for(preset: Preset) -> int:
    """Return how many GPUs of this machine a model by itself is worth: one, if it is small.

    As few as give the largest share of a batch its size: five pairs on four GPUs take as long as
    on three. Without accelerate it is one, too.
    """
    if device().type != "cuda" or find_spec("accelerate") is None or bytes_of_one(preset) < LARGE:
        return 1
    share = -(-preset.batch // torch.cuda.device_count())
    return -(-preset.batch // share)


def train_across(
    data: TokenData,
    preset: Preset,
    seed: int,
    progress: Progress,
    processes: int,
    precision: Precision = "float32",
) -> tuple[Transformer, list[float]]:
    """Do what `train_transformer` does in ``processes`` processes, on GPUs or else on the CPU.

    The number of processes decides the rounding, and nothing else of the result. They end with
    this process, however it ends.

    Raises
    ------
    UntrainError
        A process failed; with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="untrain-") as name:
        folder = Path(name)
        arrays = {"text": data.text, "image": data.image, "kept": data.kept}
        write_arrays(folder / "data.safetensors", arrays)
        order = {"preset": preset.to_dict(), "vocabulary": data.vocabulary, "seed": seed}
        write_json(folder / "order.json", {**order, "precision": precision})
        _launch(folder, processes, progress)
        model = Transformer(preset, data.vocabulary)
        model.load_state_dict(read_torch(folder / "model.safetensors"))
        losses = read_json(folder / "losses.json")["losses"]
    return model.to(device()).eval().requires_grad_(False), losses


def _launch(folder: Path, processes: int, progress: Progress) -> None:
    """Run this module on ``folder`` and pass its progress on."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr"]
    command = [*launcher, "127.0.0.1", "--nproc-per-node", str(processes), "-m", __name__]
    with disk.open_new(folder / PRINTED) as errors:
        started = subprocess.Popen(
            [*command, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        assert started.stdin and started.stdout
        try:
            for line in started.stdout:
                if line.startswith(PASSED):
                    progress(int(line.removeprefix(PASSED)))
            code = started.wait()
        finally:
            started.stdin.close()  # this ends the processes, see `_end_with`
            try:
                started.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
            started.stdout.close()
        if code:
            said = next(path for path in (folder / FAILED, folder / PRINTED) if path.exists())
            words = read_bytes(said, "TABLE").decode(errors="replace")
            raise UntrainError(
                f"a training in {processes} processes failed: {words[-2000:].strip()}\n"
                "Run the same command again to continue; with CUDA_VISIBLE_DEVICES=0 it trains on "
                "one GPU"
            )


def _end_with(pipe: int) -> None:
    """End this process when the other end of ``pipe`` is closed, by whom or what ever."""
    os.read(pipe, 1)
    os._exit(1)


def main(folder: Path) -> None:
    """Be one of the processes; leave word of what fails first."""
    threading.Thread(target=_end_with, args=(0,), daemon=True).start()
    try:
        _train(folder)
    except Exception as error:
        with suppress(FileExistsError), disk.open_new(folder / FAILED) as file:
            file.write(f"{type(error).__name__}: {error}".encode(errors="replace"))
        raise


def _train(folder: Path) -> None:
    """Train as one of the processes; the first of them reports and writes the result."""
    from accelerate import Accelerator

    # The precision is that of `autocast`, as everywhere.
    accelerator = Accelerator(cpu=device().type == "cpu", mixed_precision="no")
    order, arrays = read_json(folder / "order.json"), read_torch(folder / "data.safetensors")
    named = {name: array.numpy() for name, array in arrays.items()}
    preset = Preset.from_dict(order["preset"])
    torch.manual_seed(order["seed"])
    model = Transformer(preset, order["vocabulary"])
    first = accelerator.is_main_process

    def tell(n: int) -> None:
        if first:
            print(f"{PASSED}{n}", flush=True)

    losses = descend_tokens(
        accelerator.prepare(model),
        TokenData(**named, vocabulary=order["vocabulary"]),
        preset,
        order["seed"],
        tell,
        order["precision"],
        share=(accelerator.process_index, accelerator.num_processes),
    )
    mean = accelerator.reduce(torch.from_numpy(losses).to(accelerator.device), "mean")
    if first:
        write_torch(folder / "model.safetensors", model.state_dict())
        write_json(folder / "losses.json", {"losses": mean.tolist()})
    accelerator.wait_for_everyone()  # who leaves early breaks the connections of the others
    accelerator.end_training()
    sys.stdout.flush()
    os._exit(0)  # `_end_with` still reads, and must not meet the end of the interpreter


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A step of the paired loop: kernel by kernel, or on a GPU all its kernels in one launch.

A small model leaves a GPU waiting for Python, which takes longer to launch a kernel than the kernel
takes. A CUDA graph is a step recorded once and launched as a whole: the same kernels on the same
numbers, and so the same bits (https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from untrain.core.hardware import device, steps_in_graphs
from untrain.core.progress import console

Clip = Callable[[Iterable[torch.Tensor], float], Any]
Run = Callable[[], torch.Tensor]
Capture = Callable[[Run], Run]

FIRST = 3
"""Steps that are never recorded: the optimiser and cuBLAS make their state in them."""
MOST = 32
"""Graphs of a training: batches differ in the length of their captions, and each has its own."""


class Later(NamedTuple):
    """The loss of a batch, not computed yet.

    Attributes
    ----------
    compute : callable
        ``tensors`` → the loss. It may use the model, but no other tensor that changes.
    tensors : tuple of Tensor
        On the device.
    key : hashable
        Batches of the same key and shapes are computed by the same kernels.
    """

    compute: Callable[..., torch.Tensor]
    tensors: tuple[torch.Tensor, ...]
    key: Hashable = None


class Step:
    """Takes the steps of a training.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    clip : callable
        Scales the gradients of the given parameters down to the given norm.
    limit : float
        That norm.
    capture : callable, optional
        Records a step without taking it and returns what takes it; `cuda_capture` on a GPU. Losses
        that come as `Later` are recorded the second time that their shapes are met.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        clip: Clip,
        limit: float,
        capture: Capture | None = None,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.clip, self.limit = clip, limit
        self.capture, self.taken = capture, 0
        self.met: Counter[Hashable] = Counter()
        self.recorded: dict[Hashable, tuple[list[torch.Tensor], Run]] = {}

    def __call__(self, loss: torch.Tensor | Later) -> torch.Tensor:
        """Take a step and return its loss, without a gradient; read it before the next step."""
        self.taken += 1
        if not isinstance(loss, Later):
            return self._take(lambda: loss)
        key = (loss.key, *(tensor.shape for tensor in loss.tensors))
        self.met[key] += 1
        if key not in self.recorded and not self._record(key, loss):
            return self._take(lambda: loss.compute(*loss.tensors))
        inputs, replay = self.recorded[key]
        for mine, given in zip(inputs, loss.tensors, strict=True):
            mine.copy_(given)
        return replay()

    def _record(self, key: Hashable, loss: Later) -> bool:
        worth = self.taken > FIRST and self.met[key] > 1 and len(self.recorded) < MOST
        if self.capture is None or not worth:
            return False
        inputs = [tensor.clone() for tensor in loss.tensors]
        try:
            replay = self.capture(lambda: self._take(lambda: loss.compute(*inputs)))
        except RuntimeError as error:  # a kernel that cannot be recorded
            self.capture = None
            said = str(error).splitlines()[0]
            console.print(f"  steps are launched kernel by kernel: no CUDA graph here ({said})")
            return False
        self.recorded[key] = inputs, replay
        return True

    def _take(self, compute: Run) -> torch.Tensor:
        loss = compute()
        self.optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()  # over models, none of which has a weight of another's
        self.clip(self.model.parameters(), self.limit)
        self.optimizer.step()
        return loss.detach()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate; on a GPU it is rounded to float32, in which a graph has to read it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate if device().type == "cpu" else float(torch.tensor(rate).float())


@contextmanager
def recording_steps(optimizer: torch.optim.Optimizer) -> Iterator[Capture | None]:
    """Give what records steps where `steps_in_graphs` says so, on a stream of its own; else None.

    The optimiser is made fit for it: what its kernels read lies on the GPU.
    """
    if not (steps_in_graphs() and isinstance(optimizer, torch.optim.Adam)):  # AdamW is one
        yield None
        return
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.tensor(float(group["lr"]), device=device())
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with warnings.catch_warnings(), torch.cuda.stream(stream):
        warnings.filterwarnings("ignore", message=".*capturable=True.*")  # of the first steps
        yield cuda_capture(stream)
    torch.cuda.current_stream().wait_stream(stream)


def cuda_capture(stream: torch.cuda.Stream) -> Capture:
    """Return what records steps as CUDA graphs; they share their memory, since none overlap."""
    pool = torch.cuda.graph_pool_handle()

    def capture(run: Run) -> Run:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            loss = run()

        def replay() -> torch.Tensor:
            graph.replay()
            return loss

        return replay

    return capture

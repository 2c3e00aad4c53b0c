"""Vision models of Hugging Face transformers from disk, whole or refused with what is missing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from untrain.core.errors import InputError


def import_transformers() -> Any:
    """Return the module ``transformers``, which is optional.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise InputError(
            "encoder: models with weights need the library transformers: "
            "pip install 'untrain[encoders]'; or use `encoder: layout`, which needs no weights"
        ) from None
    return transformers


def load_model(path: str) -> tuple[Any, Any, set[str]]:
    """Return the image processor and the model at ``path``, in evaluation mode.

    The third value names the weights of a pooling layer that the file does not hold (many
    published models have none): transformers fills them with random numbers.

    Raises
    ------
    InputError
        If the model is not here, is not a vision model, or lacks any other weights.
    """
    import_transformers()
    from transformers import AutoImageProcessor, AutoModel

    local = {"local_files_only": Path(path).is_dir()}
    try:
        with _quietly():
            processor = AutoImageProcessor.from_pretrained(
                path, trust_remote_code=False, **local, **_pillow()
            )
            model, report = AutoModel.from_pretrained(
                path,
                trust_remote_code=False,  # left out, transformers asks in a terminal
                use_safetensors=True,
                output_loading_info=True,
                **local,
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"encoder: {_fault(path, str(error))}, or use `encoder: layout`, which needs no weights"
        ) from None
    missing = set(report["missing_keys"])
    # Batch normalisation counts its training batches in old files only; nothing reads the count.
    harmless = ("pooler.", "num_batches_tracked")
    lost = sorted(name for name in missing if not any(part in name for part in harmless))
    if lost:
        raise InputError(
            f"encoder: the weights at {path} lack {len(lost)} arrays of the model, such as "
            f"{lost[0]}; they would be random. Use the folder of a whole model"
        )
    return processor, model.eval(), {name for name in missing if "pooler." in name}


def load_tokenizer(path: str) -> Any:
    """Return the tokenizer at ``path``; `InputError` if there is none."""
    from transformers import AutoTokenizer

    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(
                path, trust_remote_code=False, local_files_only=Path(path).is_dir()
            )
        if len(tokenizer) <= len(tokenizer.all_special_ids) + 1:  # what transformers 5 makes up
            raise ValueError("its files are missing")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"encoder: {path} has no tokenizer that can be read "
            f"({str(error).strip().splitlines()[0]}); download the whole model, tokenizer included"
        ) from None
    return tokenizer


def content_of(model: Any, without: Collection[str] = ()) -> str:
    """Return a hash of the weights' names and values, those of ``without`` left out."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not any(key.endswith(name) for key in without):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().float().numpy().data)
    return digest.hexdigest()


def fold_normalisation(model: Any) -> None:
    """Fold each batch normalisation into the convolution before it, in place.

    The same function to rounding, with fewer passes over memory. Only pairs that transformers
    names ``convolution`` and ``normalization`` (ResNet, RegNet, MobileNet) are taken: there the
    one is known to follow the other.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in model.modules():
        first, second = (getattr(module, n, None) for n in ("convolution", "normalization"))
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            module.convolution = fuse_conv_bn_eval(first, second)
            module.normalization = nn.Identity()


def _pillow() -> dict[str, Any]:
    """Always PIL: the same numbers whether or not torchvision happens to be installed."""
    import transformers

    modern = int(transformers.__version__.split(".")[0]) >= 5
    return {"backend": "pil"} if modern else {"use_fast": False}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers from printing: what matters in its reports is checked here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _fault(path: str, reason: str) -> str:
    """Say what is wrong with the model at ``path``, and what would mend it."""
    folder = Path(path)
    if not folder.is_dir():
        return (
            f"'{path}' is neither a folder nor a model that is in the hub's cache or can be "
            f"downloaded now; run `hf download {path}` where there is a network"
        )
    missing = [n for n in ("config.json", "preprocessor_config.json") if not (folder / n).exists()]
    missing += [] if any(folder.glob("*.safetensors")) else ["model.safetensors"]
    why = f"it lacks {', '.join(missing)}" if missing else reason.strip().splitlines()[0]
    return f"the folder {path} holds no usable model ({why}); download the model again"

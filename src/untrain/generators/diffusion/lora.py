"""Fine-tuning a pipeline like Stable Diffusion by LoRA, through `diffusers` and `peft`.

The base is frozen, so that the counterfactual is over the fine-tuning set: what if the adapter had
not seen these images? Low-rank adapters: Hu et al. 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.hardware import device
from untrain.core.outside import read_bytes
from untrain.core.tensors import read_torch, write_torch
from untrain.generators.diffusion.denoising import DenoisingGenerator
from untrain.generators.diffusion.latents import Latents, import_diffusers
from untrain.generators.diffusion.presets import LoraRecipe

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


class LoraGenerator(DenoisingGenerator):
    """Adapters on the attention of a frozen U-Net; see `DenoisingGenerator`.

    Parameters
    ----------
    pipeline : str
        Folder or hub id of a ``StableDiffusionPipeline`` of `diffusers`, or of one with the same
        parts (unet, vae, text_encoder, tokenizer, scheduler), in safetensors.
    precision : {'float32', 'bfloat16'}, optional
        See `DenoisingGenerator`.
    **settings
        Of `LoraRecipe`.

    Raises
    ------
    InputError
        The pipeline cannot be had, or has other parts; a setting is wrong.
    """

    preset: LoraRecipe

    def __init__(self, pipeline: str, precision: str | None = None, **settings: Any) -> None:
        self.pipeline = pipeline
        space = Latents(pipeline, "vae", lambda: self._parts["vae"])
        super().__init__(LoraRecipe.of(**settings), space, precision)
        self.frozen = (
            f"The base model ({Path(pipeline).name}) was given and is frozen, the same in all "
            "models: effects are of the fine-tuning set. What the base learnt before, perhaps from "
            "the removed images too, is not part of them."
        )

    def recipe(self) -> dict[str, Any]:
        """Return class, version and settings, and the content of the pipeline."""
        return {**super().recipe(), "pipeline": _content(self.pipeline)}

    @cached_property
    def _parts(self) -> dict[str, Any]:
        """The pipeline's parts, loaded when first asked for, frozen."""
        diffusers = import_diffusers()
        code = sorted(path.name for path in Path(self.pipeline).rglob("*.py"))
        if code:  # older versions of diffusers run it unasked
            raise InputError(
                f"the pipeline '{self.pipeline}' brings code of its own ({', '.join(code)}), which "
                "is not run: give a folder with only weights and settings"
            )
        try:
            found = diffusers.DiffusionPipeline.from_pretrained(
                self.pipeline, use_safetensors=True, safety_checker=None
            ).components
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot load the pipeline '{self.pipeline}': {error}\nGive a folder that "
                "`save_pretrained` wrote, with weights in safetensors, or a hub id that can be "
                "downloaded"
            ) from None
        missing = [name for name in PARTS if found.get(name) is None]
        if missing or found.get("text_encoder_2") is not None:
            raise InputError(
                f"the pipeline '{self.pipeline}' is not of the kind of StableDiffusionPipeline "
                f"(one text encoder, a U-Net): it has {', '.join(sorted(found))}"
            )
        for name in ("unet", "vae", "text_encoder"):
            found[name].to(device()).eval().requires_grad_(False)
        return found

    @cached_property
    def scheduler(self) -> Any:
        """The noise that the pipeline was trained with."""
        return import_diffusers().DDIMScheduler.from_config(self._parts["scheduler"].config)

    def network(self, seed: int) -> nn.Module:
        """Return the pipeline's U-Net with new adapters, the only part that learns."""
        import copy

        peft = import_peft()
        unet = copy.deepcopy(self._parts["unet"])
        torch.manual_seed(seed)
        unet = peft.inject_adapter_in_model(
            peft.LoraConfig(
                r=self.preset.rank,
                lora_alpha=self.preset.alpha,
                init_lora_weights="gaussian",
                target_modules=list(self.preset.targets),
            ),
            unet,
        )
        for name, parameter in unet.named_parameters():
            parameter.requires_grad_("lora_" in name)
        return Adapted(unet)

    @torch.no_grad()
    def condition(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return the text encoder's last hidden states, float (n, positions, width)."""
        tokenizer = self._parts["tokenizer"]
        tokens = tokenizer(
            list(prompts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return self._parts["text_encoder"](tokens.input_ids.to(device()))[0]

    def learnt(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """Return the adapters' weights."""
        return {name: value for name, value in model.state_dict().items() if "lora_" in name}

    def save(self, folder: Path) -> None:
        """Write the adapters, adapter.safetensors, and model.json."""
        write_torch(folder / "adapter.safetensors", self.learnt(self._fitted()))
        said = {"losses": self.losses, "pipeline": self.pipeline, "settings": self.preset.to_dict()}
        write_json(folder / "model.json", {**said, "precision": self.precision})

    def load(self, folder: Path) -> Self:
        """Read adapters that `save` wrote onto the pipeline's U-Net."""
        description = read_json(folder / "model.json")
        if description["settings"] != self.preset.to_dict():
            raise InputError(f"the adapter in {folder} is of another recipe")
        model = self.network(0)
        found = read_torch(folder / "adapter.safetensors")
        absent = set(self.learnt(model)) ^ set(found)
        if absent:
            raise InputError(f"the adapter in {folder} does not fit the pipeline: {min(absent)}")
        model.load_state_dict(found, strict=False)
        self._model = model.to(device()).eval().requires_grad_(False)
        self.losses = description["losses"]
        return self


class Adapted(nn.Module):
    """A U-Net of `diffusers`, called as `DenoisingGenerator` calls a network."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: torch.Tensor, times: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Return what is predicted of noisy latents at times, of encoded prompts."""
        return self.unet(x, times, encoder_hidden_states=asked).sample


def import_peft() -> Any:
    """Return the module ``peft``, which is optional."""
    try:
        import peft
    except ImportError:
        raise InputError(
            "fine-tuning by LoRA needs the library peft: pip install 'untrain[diffusion]'"
        ) from None
    return peft


@lru_cache(maxsize=8)
def _content(pipeline: str) -> str:
    """Return the fingerprint of a folder's files; a hub id is known by its name."""
    kinds = (".safetensors", ".json", ".txt")
    files = sorted(path for path in Path(pipeline).rglob("*") if path.suffix in kinds)
    if not files:
        return pipeline
    names = [str(path.relative_to(pipeline)) for path in files]
    return fingerprint(names, *(read_bytes(path, None) for path in files))

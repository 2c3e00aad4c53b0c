"""A bank whose outcomes a test makes itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from untrain.banks.bank import Bank, depends_on
from untrain.banks.groups.bank import GroupBank, wanted_models
from untrain.banks.groups.draws import SHARES
from untrain.catalogs.groups import groups_of
from untrain.core.bank_tables import BANK_MODELS, BANK_OUTCOMES, GROUP_MODELS, GROUP_OUTCOMES
from untrain.core.files import write_json
from untrain.runs.run import Run

FAMILY_EFFECT = 0.2  # bits a token that each image of the family is worth


def make_bank(run: Run, models: int = 40) -> Bank:
    """A bank in which the images of a prompt's family are all that matters to it."""
    rng = np.random.default_rng(0)
    kept = np.zeros((models, len(run.catalog)), bool)
    for row in kept:
        row[rng.permutation(len(row))[: len(row) // 2]] = True
    families = run.catalog.attributes["family"].astype(str).to_numpy()
    names = [f"subset-0.5-{m:03d}" for m in range(models)]

    def luck() -> float:
        return float(rng.normal(0, 0.05))

    rows = [
        (
            name,
            prompt,
            g,
            "nll",
            6 - FAMILY_EFFECT * own[families == family].sum() + rng.normal(0, 0.05),
        )
        for name, own in zip(names, kept, strict=True)
        for prompt, family in zip(run.prompts["prompt_id"], run.prompts["family"], strict=True)
        for g in range(run.config.generations)
    ]
    table = pd.DataFrame(
        {"model_id": names, "share": 0.5, "draw": range(models), "seed": 1, "fingerprint": names}
    )
    models_of_bank = BANK_MODELS.conform(table.assign(path="models/none"))
    return Bank(models_of_bank, kept, BANK_OUTCOMES.of(rows))


def write_bank(run: Run, bank: Bank) -> None:
    """Write the bank as `untrain bank` does."""
    BANK_MODELS.write(run.folder, bank.models)
    BANK_OUTCOMES.write(run.folder, bank.outcomes)
    save_file({"kept": bank.kept.astype(np.uint8)}, run.path("bank", "kept.safetensors"))
    write_json(run.path("bank", "bank.json"), depends_on(run))


def make_group_bank(run: Run, by: str, brings: dict[str, float], per_share: int = 8) -> GroupBank:
    """A bank of groups in which each brings so many bits a token to every picture, and luck.

    Held-out pairs gain half as much; the model on nothing has 9 bits a token.
    """
    groups = groups_of(run.catalog, by)
    wanted = wanted_models(run, groups, per_share, SHARES, 2)
    rng, worth = np.random.default_rng(0), np.array([brings.get(n, 0.0) for n in groups.names])
    rows = []
    for name, own in zip(wanted.table["model_id"], wanted.kept, strict=True):
        luck = 0.0 if name in ("full", "empty") else rng.normal(0, 0.05)
        gained = float(worth[own].sum()) + luck
        rows.append((name, None, None, "heldout_nll", 9 - gained / 2))
        for prompt in run.prompts["prompt_id"]:
            for g in range(run.config.generations):
                rows.append((name, prompt, g, "nll", 9 - gained))
    names = wanted.table["model_id"]
    table = wanted.table.assign(seed=1, fingerprint=names, path="")
    return GroupBank(groups, GROUP_MODELS.conform(table), wanted.kept, GROUP_OUTCOMES.of(rows))

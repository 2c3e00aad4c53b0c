"""How high can an LDS be? The halves of a bank trained once more, from another seed.

    python benchmarks/ceiling.py runs/demo --models 24

What two trainings on the same half agree on is what the half decides; the rest is chance, which no
attribution can know. If outcomes of the two correlate by r over the halves, an attributor that knew
the expected outcome of every half would correlate by √r with one bank (Spearman's correction for
attenuation). ``--scores`` also says how an attributor does against the mean of both. Models are
kept in the run folder and found again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr, spearmanr

from untrain.attribution.registry import make_attributor
from untrain.banks.bank import read_bank
from untrain.banks.leaderboard import evidence_of
from untrain.evaluation.lds import lds
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.settings.load import load_config
from untrain.training.base import ModelRequest

APART = 5000  # between the seeds of the bank and of its replicates


def outcomes(run: Run, paths: list[str], prompt_ids: list[str]) -> np.ndarray:
    """Return the mean −log p of each prompt's pictures under each model, (models, prompts)."""
    queries = read_queries(run.folder).of(*prompt_ids)
    assert queries.samples is not None
    found = []
    for path in paths:
        each = -run.trainer.load(path).log_likelihood(queries.samples, queries.prompts).mean(axis=1)
        found.append([each[queries.rows(prompt)].mean() for prompt in prompt_ids])
    return np.array(found)


def main() -> None:
    """Train the replicates that are missing, and print what the two agree on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run folder with a bank of random halves")
    parser.add_argument("--models", type=int, default=24, help="how many halves are trained again")
    parser.add_argument("--scores", nargs="*", default=["family", "leverage"])
    args = parser.parse_args()
    run = Run(load_config(args.run / "config.yaml", runs=args.run.parent, name=args.run.name))
    bank, ids = read_bank(run.folder), np.array(run.catalog.ids, dtype=object)
    half = np.flatnonzero(np.isclose(bank.models["share"], 0.5))[: args.models]
    kept = bank.kept[half]
    run.trainer.prepare()
    requests = [
        ModelRequest(f"replicate-{row}", run.config.b_seed + APART, tuple(ids[~own]))
        for row, own in zip(half, kept, strict=True)
    ]
    with run.lock():
        again = run.trainer.train(requests, f"{len(requests)} replicates")
    prompts = run.prompts[run.prompts["role"] == "query"]
    prompt_ids = list(prompts["prompt_id"])
    first = outcomes(run, list(bank.models["path"].iloc[half]), prompt_ids)
    second = outcomes(run, list(again["path"]), prompt_ids)
    columns = list(zip(first.T, second.T, strict=True))
    linear = float(np.mean([pearsonr(a, b)[0] for a, b in columns]))
    ranks = float(np.mean([spearmanr(a, b)[0] for a, b in columns]))
    print(f"{len(half)} halves, {len(prompt_ids)} prompts")
    print(f"two trainings of a half correlate by {linear:.3f}, in ranks by {ranks:.3f}")
    print(f"ceiling of an LDS on one bank: about {np.sqrt(ranks):.3f}")
    evidence = evidence_of(run, prompt_ids)
    for name in args.scores:
        scores = make_attributor(name).scores(evidence).values.astype(float)
        each = [lds(scores, kept, nll).mean for nll in (first, second, (first + second) / 2)]
        print(f"{name}: LDS {each[0]:.3f} and {each[1]:.3f}, against the mean {each[2]:.3f}")


if __name__ == "__main__":
    main()

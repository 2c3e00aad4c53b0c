"""The data card of a benchmark: what it is, how it was made, how to use it, what it cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from untrain.core.text import markdown, markdown_code, markdown_table
from untrain.evaluation.measurement import in_full
from untrain.report.tables.leaderboard import headings, text_rows
from untrain.runs.leaderboard import Leaderboard

if TYPE_CHECKING:
    from untrain.banks.benchmark.read import Benchmark

CARD = """\
# {name}: attribution held to exact, paired retraining

{models} text-to-image models, each trained without another random half of {images:,} captioned
images, and what each of them makes of {pictures} pictures that a model trained on all of the
images (model A) generated for {prompts} prompts. A method that knows which training images a
picture stands on can predict which of these models do well on it. Nothing is estimated: every
model was trained from the start, with the same initial weights and the same order of the data as
all others, so that they differ in their images only.

## Score a method in one command

Write a table (Parquet or CSV) with the columns `prompt` (id or text), `image` (id) and `score`.
Higher means: without the image the model does worse on the prompt's pictures (their mean counts).
Then, with `pip install untrain`:

```bash
untrain benchmark score FOLDER scores.parquet
```

or `untrain.Benchmark(FOLDER).score(array)` with an array (prompts, images), rows as
`prompts.csv`, columns as `images.parquet`. Without untrain: for each prompt, Spearman's
correlation over models between `kept @ score` (scores less their mean) and minus the mean `value`
of the prompt; the LDS is its mean over prompts.

## What is in it

| file | content |
|---|---|
| `images.parquet` | image_id, caption, content (its hash), attributes{file_column} |
| `prompts.csv` | prompt_id, prompt, family{family_note} |
| `queries/`, `queries.csv` | pictures by A, and their order in `queries.safetensors` |
{tensor_rows}| `models.csv`, `kept.safetensors` | the models; who was trained on which image |
| `outcomes.parquet` | model_id, prompt_id, generation, value: {unit}; higher is worse |
| `baselines.safetensors` | the scores of the methods below |
| `benchmark.json`, `SHA256SUMS` | versions, seeds, machine; checksums (`sha256sum -c SHA256SUMS`) |

## Methods to compare with

{table}

LDS: linear datamodeling score, with 95 % intervals over models and prompts together. Effect of
the top {k}: how much worse models are, in {unit}, without the {k} images that a method scores
highest, compared with as many average images. `family` knows which images were made as the
prompt's family; it is a reference and no bound. The settings of untrain's own methods were chosen
on the demo's bank of seed 0, where they look better than they are. Choose yours elsewhere, too,
and say where.

## How it was made

untrain {version} with PyTorch {torch}, {precision}; seed {seed_a} for A and the frozen parts,
{seed_b} for the models. The recipe is in `benchmark.json` (`generator`){recipe_note}. Removed
images keep their place in their batch and count as zero. {frozen}

{licence}

## What it cannot say

- It is one catalogue, one recipe, one draw of A. Small differences between methods may turn on
  another.
- Removals are of half of the data: an image's influence is measured beside half of the others,
  not beside all.
- Models are paired, and the pictures of a prompt are averaged; both raise every LDS. Compare
  methods here, not with figures from other benchmarks, not even from two such folders.
- {models} models leave noise in each outcome: read the interval, and the difference to a baseline
  rather than two intervals.
- LDS depends on the size of all scores. A method that is right about the few that matter and
  noisy about the rest has a low LDS and a large effect of its top {k}.
"""

RENDERED = """\
Licence: the images and captions were rendered by untrain, of no person and no brand. Like untrain
itself, all of this folder is under the Apache License 2.0."""
PASSED_ON = """\
Licence: the training images are those of the data set that the run was made with, and its licence
holds for them and for what was made of them. Ask its owners before you pass this folder on."""
NOT_PASSED_ON = """\
Licence: the training images are not in this folder, nor is what they could be told from, because
they are not untrain's to pass on. Captions and tokens are derived from the data set that the run
was made with; ask its owners before you pass them on."""


def data_card(benchmark: Benchmark, board: Leaderboard) -> str:
    """Return the ``README.md`` of a benchmark, with its baselines as ``board`` judges them."""
    about, folder = benchmark.about, benchmark.folder
    heads, lines = (
        headings(board),
        [[markdown_code(name), *rest] for name, *rest in text_rows(board)],
    )
    cells = [heads, ["---", *["---:"] * (len(heads) - 1)], *lines]
    whole = about["has_images"]
    licence = RENDERED if about["rendered"] else PASSED_ON if whole else NOT_PASSED_ON
    generator, versions = about["generator"], about["versions"]
    known = bool((benchmark.prompts["family"] != "").all())
    return CARD.format(
        name=markdown(about["name"]),
        models=board.models,
        images=board.images,
        prompts=board.queries,
        pictures=len(benchmark.queries),
        file_column=", and file: its name in `images/`" if whole else "",
        family_note="" if known else " (empty: not known)",
        tensor_rows="".join(
            f"| {names} | {what} |\n" for file, names, what in TENSORS if (folder / file).exists()
        ),
        unit=in_full(board.unit),
        k=board.k,
        table=markdown_table(cells),
        version=versions["untrain"],
        torch=versions.get("torch", "of an unknown version"),
        precision=generator["precision"] or "in a precision of its own",
        seed_a=about["seeds"]["a"],
        seed_b=about["seeds"]["b"],
        recipe_note=" and in `model/model.json`" if (folder / "model").exists() else "",
        frozen=generator["frozen"],
        licence=licence,
    )


TENSORS = (
    (
        "queries.safetensors",
        "`queries.safetensors`",
        "`samples`: what A sampled for each query; `text`: its prompt as tokens",
    ),
    ("model", "`model/`", "A: its weights and its recipe"),
    (
        "shared/tokens.safetensors",
        "`shared/tokens.safetensors`",
        "`text` and `image`: the training pairs as tokens, rows as `images.parquet`",
    ),
    (
        "model.py",
        "`model.py`",
        "A in one file for torch and safetensors: model, losses of pairs and queries",
    ),
)

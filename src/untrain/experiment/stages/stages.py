"""The stages in order: what each reads, does and leaves in the run folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from untrain.core.files import atomic_file, discard_folder, is_marked, write_csv, write_json
from untrain.core.notes import Note
from untrain.core.progress import bar, track
from untrain.counterfactual import design
from untrain.counterfactual.design import SAMPLER
from untrain.counterfactual.forget_sets import build_forget_sets
from untrain.evaluation.quality import judge
from untrain.generators.base import Generations, Generator
from untrain.generators.noise import noise_batch
from untrain.runs.pictures import save_pictures
from untrain.runs.queries import REFERENCE
from untrain.runs.run import Run
from untrain.search.duplicates import duplicate_groups
from untrain.training import models as bank

TOGETHER = (
    "The sets of all prompts leave together: an effect on a prompt is that of all of them, its own "
    "among them. All prompts rest on one assignment, so that their verdicts are no separate "
    "evidence: they tend to be right, or wrong, together."
)
UNPAIRED = (
    "Unpaired models: each has a seed of its own, and differs from the others through it as well "
    "as through what was removed. Do not set these figures beside those of paired models. "
)
UNPAIRED_BUT = {
    "randomised": "Tests and intervals hold, as the assignment was drawn without regard to the "
    "seeds, but smaller effects go unseen.",
    "before-after": "How much the seed alone does is seen in the row of the other seed.",
}


def fit(run: Run) -> None:
    """Train the frozen parts and model A, which draws the queries."""
    prepare(run)
    order = bank.Order(SAMPLER, run.config.seed, ())
    # A is paired with no other model, so that it may have all the threads.
    models = bank.train_all(run, [order], "model A", paired=False)
    run.keep("model_a", models)


def prepare(run: Run) -> None:
    """Fit the generator's frozen parts, or find them in this run or one beside it."""
    if run.given:  # there is no model, and nothing to prepare
        return
    folder, catalog, generator = run.shared_folder, run.catalog, run.generator
    if not folder.exists():
        elsewhere = run.find_elsewhere("shared", folder.name)
        if elsewhere:
            bank.adopt(elsewhere, folder)
    with bar("frozen parts", generator.prepare_work(catalog)) as advance:
        generator.prepare(catalog, folder, advance)
    if not (folder / "shared.json").exists():  # there is nothing to keep, or nothing that says so
        write_json(folder / "shared.json", {"fingerprint": folder.name})


def generate(run: Run) -> None:
    """Draw the queries from A: some pictures a prompt, and one more as the study's reference."""
    prepare(run)
    model = bank.load_model(run, run.table("model_a")["path"].iloc[0])
    keys = query_keys(run, with_reference=True)
    drawn = draw(run, model, keys)
    last = run.config.per_prompt
    names = [f"{p}/{REFERENCE if g == last else g}" for p, g in keys]
    with atomic_file(run.path("queries.safetensors")) as temporary:
        save_file(dict(zip(names, np.ascontiguousarray(drawn.samples), strict=True)), temporary)
    save_pictures(run.path("queries"), dict(zip(names, drawn.images, strict=True)))
    write_csv(run.path("prompts.csv"), run.prompts)
    judge_quality(run, [(p, drawn.images[i]) for i, (p, _) in enumerate(keys)])


def judge_quality(run: Run, pictures: Sequence[tuple[str, np.ndarray]]) -> None:
    """Judge whether pictures, each with its prompt_id, show what was asked for; controls aside."""
    asked = run.prompts[run.prompts["role"] == "query"]
    known = set(asked["prompt_id"])
    quality = judge(run.catalog, asked, [(p, picture) for p, picture in pictures if p in known])
    run.record["quality"] = quality
    if quality and not quality["passed"]:
        remedy = "" if run.given else " Train it longer or on more."
        text = (
            "The generator is weak: its pictures often do not show what their prompts ask for "
            f"({quality['summary']}), so attribution means little.{remedy}"
        )
        run.warn(Note("generator-weak", text))


def query_keys(run: Run, with_reference: bool = False) -> list[tuple[str, int]]:
    """Return (prompt_id, generation) of every query; the reference is the last generation."""
    return [(p, g) for p, count in run.pictures.items() for g in range(count + with_reference)]


def draw(run: Run, model: Generator, keys: list[tuple[str, int]]) -> Generations:
    text = dict(zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True))
    noise = noise_batch(model.noise, run.config.seed, keys)
    return model.generate([text[p] for p, _ in keys], noise)


def remove(run: Run) -> None:
    """Name the forget sets; nothing is deleted."""
    settings = run.config.removal
    ranking = run.table("ranking")
    chosen = ranking[ranking["method"] == run.config.ranking.method]
    controls = run.prompts[run.prompts["role"] == "control"]
    sets = build_forget_sets(
        chosen[["prompt_id", "image_id", "rank"]],
        run.table("retrieval"),
        run.catalog,
        run.arms,
        list(settings.k),
        run.config.seed,
        dict(zip(controls["prompt_id"], controls["family"], strict=True)),
        run.user_ids,
        settings.draws,
        duplicate_groups(run.catalog) if settings.duplicates == "near" else None,
        settings.together,
    )
    if settings.together and run.config.design.kind == "randomised":
        run.warn(Note("sets-together", TOGETHER))
    for warning in sets.attrs.get("warnings", ()):
        run.warn(Note("forget-set-short", warning))
    run.keep("forget_sets", sets)


def assignment(run: Run) -> design.Assignment:
    """Return which model of the bank is trained without which forget sets."""
    units = design.units_of(run.table("forget_sets"))
    if run.config.design.kind == "before-after":
        return design.before_after(units, run.paired)
    drawn = design.randomised(units, run.config.design.models, run.config.seed, run.paired)
    design.refuse_repeated_models(drawn)
    return drawn


def retrain(run: Run) -> None:
    """Train the models of seed B, each without its forget sets; of more seeds if not paired."""
    prepare(run)
    drawn, sets = assignment(run), run.table("forget_sets")
    orders = [
        bank.Order(
            model_id,
            run.config.b_seed + drawn.seed_offsets[m],
            tuple(design.removed_ids(drawn, sets, model_id)),
        )
        for m, model_id in enumerate(drawn.model_ids)
    ]
    if not run.paired:
        run.warn(Note("unpaired", UNPAIRED + UNPAIRED_BUT[run.config.design.kind]))
    label = f"{len(orders)} {'paired' if run.paired else 'unpaired'} models"
    models = bank.train_all(run, orders, label)
    run.keep("models", pd.concat([run.table("model_a"), models], ignore_index=True))
    run.keep("removals", design.removals(drawn))


def regenerate(run: Run) -> None:
    """Draw every prompt again from every paired model, with the noise that A had."""
    prepare(run)
    keys = query_keys(run)
    models = run.table("models")
    models = models[models["model_id"] != SAMPLER]
    _discard_others(run, set(models["model_id"]))
    for model_id, path in track(
        zip(models["model_id"], models["path"], strict=True), "regenerating", len(models)
    ):
        folder = run.path("generations", model_id)
        drawn = draw(run, bank.load_model(run, path), keys)
        names = [f"{p}/{g}" for p, g in keys]
        save_pictures(folder, dict(zip(names, drawn.images, strict=True)))


def _discard_others(run: Run, models: set[str]) -> None:
    """Remove pictures of models that an earlier design had and this one has not."""
    for folder in run.path("generations").glob("*"):
        if folder.name not in models and is_marked(folder):  # what is not ours stays
            discard_folder(folder)


def read_queries(run: Run) -> dict[str, np.ndarray]:
    """Return the samples of every query by ``prompt_id/generation``."""
    return load_file(run.path("queries.safetensors"))


def report(run: Run) -> None:
    """Write the report page, the tables in Markdown and the thumbnails they show."""
    from untrain.report.page.rewrite import shows_training_images, write_page

    _keep_thumbnails(run)
    run.save_record()
    write_page(run.folder, shows_training_images(run.folder))


def _keep_thumbnails(run: Run) -> None:
    """Keep small pictures and captions of the images that the report names."""
    ranking, copies = run.table("ranking"), run.table("copies")
    shown = ranking[ranking["rank"] <= 10]["image_id"]
    named = {*shown, *copies[copies["near_copy"]]["image_id"]}
    if not run.given:  # else nothing was removed
        sets = run.table("forget_sets")
        named |= set(sets[sets["arm"].isin(["family", "ids"])]["image_id"])
    ids = sorted(named)
    captions = [run.catalog.captions[run.catalog.index[i]] for i in ids]
    shown_table = pd.DataFrame({"image_id": ids, "caption": captions})
    if "family" in run.catalog.attributes:
        families = run.catalog.attributes["family"]
        shown_table["family"] = [str(families[run.catalog.index[i]]) for i in ids]
    run.keep("captions", shown_table)
    pictures = {}
    for image_id in ids:
        image = run.catalog.image(image_id)
        image.thumbnail((96, 96))
        pictures[image_id] = np.asarray(image)
    save_pictures(run.path("thumbnails"), pictures)

"""A run as a data set of FiftyOne and as cards: what is said is what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from untrain.cli import app
from untrain.core.files import read_json, write_json
from untrain.exchange import cards
from untrain.exchange.cards import dataset_card, model_card
from untrain.report.ranking import main_ranking
from untrain.report.tables.effects import overall_table
from untrain.runs.results import read_results


def front(card: str) -> dict:
    """Return the front matter of a card."""
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_fiftyone_gets_pictures_verdicts_and_similarities(micro_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "fo"
    said = CliRunner().invoke(app, ["export", str(micro_run), str(out), "--to", "fiftyone"])
    assert said.exit_code == 0, said.output
    samples = json.loads((out / "samples.json").read_text())["samples"]
    assert all((out / sample["filepath"]).is_file() for sample in samples)
    assert f"{len(samples)} samples" in said.output
    by_tag: dict[str, list[dict]] = {}
    for sample in samples:
        by_tag.setdefault(sample["tags"][0], []).append(sample)
    assert set(by_tag) == {"generated", "with_images", "without_images", "training"}
    run = read_results(micro_run)
    verdicts = run.verdicts.set_index("prompt_id")["reason"]
    for sample in by_tag["generated"]:
        assert sample["reason"] == verdicts[sample["prompt_id"]]
        assert sample["verdict"]["_cls"] == "Classification"
        assert sample["prompt"] == run.texts[sample["prompt_id"]]
    best = [sample for sample in by_tag["training"] if sample["rank"] == 1]
    ranking = main_ranking(run)
    scores = ranking[ranking["rank"] == 1].set_index("prompt_id")
    assert [s["image_id"] for s in best] == [scores.loc[s["prompt_id"], "image_id"] for s in best]
    metadata = json.loads((out / "metadata.json").read_text())
    assert "version" not in metadata and metadata["info"]["answer"]
    assert str(tmp_path) not in (out / "samples.json").read_text()


def test_a_model_card_has_results_only_where_they_may_be_read(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = micro_copy()
    monkeypatch.setattr(cards, "headline", lambda run: ["It cannot draw."])
    card = model_card(folder)
    assert "model-index" not in front(card) and "as results.** It cannot draw." in card
    monkeypatch.setattr(cards, "headline", lambda run: [])
    card = model_card(folder)
    (model,) = front(card)["model-index"]
    metrics = {metric["type"]: metric for metric in model["results"][0]["metrics"]}
    table = overall_table(read_results(folder).effects).set_index("arm")
    assert metrics["removal-effect-targeted"]["value"] == pytest.approx(
        table.loc["targeted", "effect"], abs=1e-4
    )
    assert "Do not read" not in card and "{" not in card.split("---\n")[2]
    assert front(card)["pipeline_tag"] == "text-to-image"
    out = tmp_path / "README.md"
    said = CliRunner().invoke(app, ["export", str(folder), str(out), "--to", "model-card"])
    assert said.exit_code == 0 and out.read_text() == card
    said = CliRunner().invoke(app, ["export", str(folder), "--to", "model-card"])
    assert said.output == card


def test_a_dataset_card_counts_and_names_lists_without_their_place(
    micro_copy: Callable[..., Path],
) -> None:
    folder = micro_copy()
    record = read_json(folder / "run.json")
    excluded = [{"source": "/home/me/opt-out.csv", "images": 12, "digest": "d"}]
    record["catalog"]["excluded"] = excluded
    write_json(folder / "run.json", record)
    card = dataset_card(folder)
    told = front(card)
    assert told["size_categories"] == ["n<1K"] and told["task_categories"] == ["text-to-image"]
    images = len(read_results(folder).catalog)
    assert f"| pairs of an image and a caption | {images} |" in card
    assert "- opt-out.csv: 12 images" in card and "/home/me" not in card


@pytest.mark.parametrize("card", ["model-card", "dataset-card"])
def test_a_card_of_no_run_is_refused(card: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["export", str(tmp_path), "--to", card])
    assert said.exit_code == 1 and "not a run folder" in str(said.exception)

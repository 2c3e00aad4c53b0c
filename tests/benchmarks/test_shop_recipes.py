"""The table and the sheet of recipes on photos, in miniature on rendered pictures."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import shop_recipes
from tests.helpers.generators import silent
from untrain.catalogs.rendered.catalog import rendered

PROMPTS = sorted(set(rendered(8, 12, seed=0).captions))[:3]
EXPERIMENT = f"""
data: {{format: rendered, families: 8, family_size: 12}}
prompts: {{texts: {PROMPTS}}}
generator: {{preset: micro}}
"""


@pytest.fixture
def told(monkeypatch, tmp_path, capsys):
    """Run the script with two small recipes and return what it printed."""
    recipes = {"one": ("micro", {}), "two": ("micro", {"parts": 2, "levels": (4, 4, 4)})}
    monkeypatch.setattr(shop_recipes, "RECIPES", recipes)
    monkeypatch.setattr(shop_recipes, "EACH", 2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(EXPERIMENT)

    def run(*arguments: str) -> str:
        given = ["x.yaml", "--only", *recipes, "--seconds", "0.2", "--seconds-ae", "0.2"]
        monkeypatch.setattr(sys, "argv", ["shop_recipes.py", *given, *arguments])
        shop_recipes.main()
        return capsys.readouterr().out

    return run


def test_a_row_a_recipe_and_none_twice_and_a_sheet(told, tmp_path):
    assert "the probe is right of" in told()
    rows = pd.read_csv(tmp_path / "shop-recipes.csv")
    assert rows["recipe"].tolist() == ["one", "two"]
    assert (rows[["epochs_ae", "epochs_transformer"]] >= 1).all(axis=None)
    shares = rows[["article", "colour", "article_prompts", "colour_prompts"]]
    assert shares.ge(0).all(axis=None) and shares.le(1).all(axis=None)
    assert rows[["psnr", "rebuilt_fd", "fd", "bits"]].gt(0).all(axis=None)
    assert "the probe" not in told()  # all rows were there

    # The sheet of the same models: a row a prompt, four pictures a recipe.
    told("--sheet", "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (shop_recipes.LABEL + 2 * (2 * 4 * 16 + 12), 3 * 2 * 16)
    assert len(np.unique(np.asarray(sheet))) > 20


def test_epochs_are_those_that_fit():
    assert shop_recipes.epochs_for(0, 100, lambda n: silent(n)) == 1

"""Training: a float network first, then quantised ones with straight-through gradients."""

from gruhw.training.design import train_design
from gruhw.training.fit import Epoch
from gruhw.training.recipe import RECIPES, Recipe, recipe_for

__all__ = ["RECIPES", "Epoch", "Recipe", "recipe_for", "train_design"]

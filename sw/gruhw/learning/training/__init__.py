"""Training: a float network first, then quantised ones with straight-through gradients."""

from gruhw.learning.training.fit import Epoch
from gruhw.learning.training.recipe import RECIPES, Recipe, recipe_for

__all__ = ["RECIPES", "Epoch", "Recipe", "recipe_for"]

"""`benchdog tune`: many runs of a recipe, their settings chosen by Optuna."""

CONTRACT = 1

"""`benchdog tune`: hyperparameter tuning with Optuna."""

CONTRACT = 1

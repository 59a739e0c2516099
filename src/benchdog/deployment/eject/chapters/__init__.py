"""The chapters of an ejected program: each writes what a run did in one of the loop's parts, and nothing else."""

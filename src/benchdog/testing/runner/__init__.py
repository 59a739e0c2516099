"""How the checks run: in child processes, under a guard, with a registry."""

"""Shell completion: typer resolves the words, `candidates` supplies the values, the scripts talk to the shells."""

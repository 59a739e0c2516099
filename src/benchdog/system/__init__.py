"""The machine underneath: files, paths, signals, the terminal, signing, hardware."""

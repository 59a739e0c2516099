"""What the tests share: ways to run commands, small data, plugins and artifacts."""

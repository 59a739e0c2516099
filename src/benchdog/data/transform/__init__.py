"""The transform: preprocessing that is fitted once and stays inside the graph."""

"""`benchdog serve`: a model behind HTTP, and a page to try it."""

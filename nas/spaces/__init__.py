"""Search spaces: which edges a cell has, which operations compete on them, and how an architecture is written."""

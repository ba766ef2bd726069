"""From scores and oracles to the rows of a table."""

"""Work over whole indexes."""

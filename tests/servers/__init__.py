"""Servers that integration tests run against, and where they are found."""

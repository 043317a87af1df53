"""A Vespa server from Maven Central: Vespa's own container and config model over an in-process content node."""

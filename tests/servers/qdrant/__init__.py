"""A double of a Qdrant server: its wire format and its manners over Qdrant's own in-process engine; see README.md."""

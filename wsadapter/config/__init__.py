"""The configuration: one frozen tree, read in one place."""

"""Rules of the house that no linter holds: layers, sizes, sources, documents, tooling."""

"""Lists that some registries have beside the standard one, which tell the digests of many tags in one answer."""

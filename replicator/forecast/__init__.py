"""What a sweep would do now, asked of the registries themselves: references, blobs, bytes. Writes nothing."""

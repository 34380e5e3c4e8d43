"""One pure decoder for each kind of sender: the bytes of a delivery become changes."""

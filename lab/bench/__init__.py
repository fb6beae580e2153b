"""The benchmark: the cancel saga, measured here, in a bare reference, and in a library's way of writing it."""

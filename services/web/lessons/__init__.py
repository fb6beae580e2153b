"""The lessons: a pattern each, seen in this running system, and then removed from it."""

"""The lessons: one pattern each, run as it is and with the pattern removed from the code."""

"""What all services are built on."""

import gc

BETWEEN_COLLECTIONS = 10_000
"""New objects between two garbage collections. With Python's 700 there are several in each request, and hundreds while
modules are imported; they take time (5 and 15 %) and find little: reference counts free nearly everything."""

gc.set_threshold(BETWEEN_COLLECTIONS)

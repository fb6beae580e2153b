"""DANA: the client that pays, and the simulator that it is tried against."""

"""The demonstration mode of a service: it records what happens to its events, and has switches for faults.

Nothing of this is loaded outside of demonstration mode.
"""

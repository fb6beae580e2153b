"""A simulator of the wallet provider DANA, with its SNAP BI interface: `python -m simulators.dana`."""

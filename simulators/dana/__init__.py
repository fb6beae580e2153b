"""DANA, the wallet provider, as a partner meets it through SNAP BI: `python -m simulators.dana`."""

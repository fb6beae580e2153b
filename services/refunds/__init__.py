"""The ledger, Lazada Credit, and the worker that pays DANA. The only service that moves money."""

"""Customer service: the queue, the agents, the cases, and the 24 hours that a silent seller has."""

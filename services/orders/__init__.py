"""Products and orders; decides alone whether an order is cancelled."""

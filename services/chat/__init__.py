"""Conversations between buyers and sellers, one for each order."""

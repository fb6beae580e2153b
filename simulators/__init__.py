"""Stand-ins for partners outside the house. They import no service, and no service imports them."""

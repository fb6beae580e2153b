"""Events on their way: reads the records of the services, sends them to browsers, and keeps the last traces."""

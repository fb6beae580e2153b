"""What has happened to one's orders and cases: a list for each person, live, and sellers' webhooks."""

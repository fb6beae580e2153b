"""The benchmark: the cancel saga in Batalkan, in a bare reference, and with a library (FastStream)."""

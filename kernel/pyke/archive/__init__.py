"""Archives: tar streams read, extracted and packed, compressed streams made plain; all of it within limits, nothing of it trusted."""

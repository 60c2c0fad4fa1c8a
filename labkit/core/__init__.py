"""What everything else rests on. NumPy only: no torch, no plotting, no widgets."""

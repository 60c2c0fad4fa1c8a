"""Groups of people: who belongs to which, how they compare, and what chance would give."""

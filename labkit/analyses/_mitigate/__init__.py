"""What may be offered to a mitigation, the sweep over methods and strengths, and what is stated of each."""

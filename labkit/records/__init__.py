"""What the lab can state: one frozen dataclass a file. Records hold numbers and never draw."""

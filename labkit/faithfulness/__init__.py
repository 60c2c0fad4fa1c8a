"""Is that attribution true? One score an example, one method a file."""

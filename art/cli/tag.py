"""`art tag`: movable names for versions."""

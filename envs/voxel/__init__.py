"""The embedded world: rules, pixels, and the two Gymnasium faces."""

"""Learning policies on the environments, keeping them, and using them."""

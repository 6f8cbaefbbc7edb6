"""The client's half of the protocols, as far as the measurement speaks them."""

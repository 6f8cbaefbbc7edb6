"""One module for each peer: how it is started, how its clients speak, how one publishes to it."""

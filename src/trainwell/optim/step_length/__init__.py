"""Methods that find the length of their step on the batch itself."""

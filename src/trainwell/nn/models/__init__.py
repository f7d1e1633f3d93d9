"""The bodies that a recipe may ask for, and the layers of their own."""

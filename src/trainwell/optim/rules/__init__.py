"""The update rules of one gradient a step, and their lines of the table."""

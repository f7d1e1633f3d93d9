"""The alarms, one a file; ``watching.alarming`` finds them by their place."""

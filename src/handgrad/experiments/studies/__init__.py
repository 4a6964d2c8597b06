"""The studies, one file each, named as on the command line with underscores."""

"""What the lab says of a function beside the checker's own verdicts."""

CHECKING = "checking"  # the verdict of what is not judged yet

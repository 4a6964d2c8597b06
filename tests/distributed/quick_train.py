"""``handgrad train`` without the figures of the report, which take seconds and are not what is tried here."""

from handgrad import report
from handgrad.cli import main

if __name__ == "__main__":
    report.write_report = lambda folder: folder
    main()

"""The lab: a live page that shows a network learning, on the data of a run, with the layers of a run.

The run folder is the source of truth.  A training of ``handgrad train --live`` writes a few files more, in
the folder ``live`` of its run (`handgrad.lab.live`), and takes acts from there.  The server of the page is a
process of its own (`handgrad.lab.server`), which reads the folder.  Training, server and page go on when
another of them ends.
"""

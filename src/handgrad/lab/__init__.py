"""The lab: a live page that shows a network learning, on the data of a run, with the layers of a run.

The run folder is the source of truth.  A training of ``handgrad train --live`` writes a few files more, in
the folder ``live`` of its run (`handgrad.lab.feed`), and takes acts from there (`handgrad.lab.acts`); the page's
server is a process of its own (`handgrad.lab.server`), which reads the folder.  Each of the three goes on when
another one ends.
"""

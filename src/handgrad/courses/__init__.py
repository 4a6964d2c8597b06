"""Let the courses' own notebooks run: their imports answered, their conventions kept.

    import handgrad.courses
    handgrad.courses.use("cs231n-2020")
    from cs231n.layers import *

`PROFILES` lists the courses and generations; in a notebook, ``%load_ext handgrad`` and ``%course
cs231n-2020`` do the same, and ``python -m handgrad.courses SCRIPT.py --course NAME`` runs a script.
"""

from handgrad.courses.finder import in_use, stop_using, use
from handgrad.courses.profiles import PROFILES, Profile, get_profile

__all__ = ["PROFILES", "Profile", "get_profile", "in_use", "stop_using", "use"]

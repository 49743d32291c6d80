"""How many correct answers the amounts validator rejects, and how many wrong ones it detects.

Prints both rates over the labelled replies, for each half and each kind of slip. With
``--show`` it prints the replies that it judges wrongly.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.labelled_replies import HALVES, judge_reply, load_cases

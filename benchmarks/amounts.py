"""How many correct answers the amounts validator rejects, and how many wrong ones it finds.

Prints both rates over the labelled replies, for each part of them and each kind of slip. With
``--show`` it prints the replies that are judged wrongly, too.
"""

import sys
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"


def main() -> None:
    sys.path.insert(0, str(TESTS))
    from support.labelled_replies import PARTS, Case, is_kept, load_cases  # noqa: PLC0415

    every: list[Case] = []
    for part in PARTS:
        cases = list(load_cases(part))
        began = time.perf_counter()
        rejected = [case for case in cases if not is_kept(case.candidate)]
        missed = [case for case in cases if is_kept(case.wrong)]
        spent = (time.perf_counter() - began) / (2 * len(cases))
        print(
            f"{part:12} {rates(len(cases), len(rejected), len(missed))}, {spent * 1000:.1f} ms each"
        )
        every += cases
        if "--show" in sys.argv:
            for case in rejected:
                print(f"  rejected ({case.trade}): {' '.join(case.candidate.text.split())}")
            for case in missed:
                right, wrong = case.figures
                print(f"  missed ({case.trade}, {case.slip}): {wrong} for {right}")
    rejected = [case for case in every if not is_kept(case.candidate)]
    missed = [case for case in every if is_kept(case.wrong)]
    print(f"{'all':12} {rates(len(every), len(rejected), len(missed))}")
    slips = Counter(case.slip for case in every)
    lost = Counter(case.slip for case in missed)
    for slip, count in slips.most_common():
        print(f"  {slip:12} {count - lost[slip]:3} of {count:3} found")


def rates(cases: int, rejected: int, missed: int) -> str:
    return (
        f"{2 * cases} replies: {100 * rejected / cases:.1f} % of correct ones rejected,"
        f" {100 * (cases - missed) / cases:.1f} % of wrong ones found"
    )


if __name__ == "__main__":
    main()

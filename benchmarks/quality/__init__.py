"""Quality on real data: ours beside Vowpal Wabbit, MABWiser and River's own policies. See ``__main__``."""

import os

# One thread for every linear algebra, theirs and ours: costs are CPU time, and must not count idle spinning.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

"""``nextbest replay``: the log folded anew, to compare with what is stored or to write it anew."""

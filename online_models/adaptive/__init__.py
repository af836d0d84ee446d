"""The default reward model: a regression per arm over features that adapt to what there is to be learned.

``arm_model`` learns; ``linear_scorer`` is what deciders hold of it, ``linear_wire`` its bytes.
"""

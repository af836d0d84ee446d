"""Names of Redis keys, all in one place.

What belongs to one visitor stands in one hash slot: the visitor's key is the hash tag. Ids may contain
braces: Redis takes the text between the first ``{`` of a name and the first ``}`` after it, the first ``{`` is
ours (a namespace has none), and both keys of a visitor are cut at the same place, so they share a slot
whatever the id holds. The tag is never empty, since visitor keys begin with ``u:`` or ``a:``.
"""

from __future__ import annotations


class Keys:
    """The key names of one namespace.

    >>> Keys("shop").visitor("u:7"), Keys("shop").folder("a:{x}")
    ('shop:visitor:{u:7}', 'shop:folder:{a:{x}}')
    """

    def __init__(self, namespace: str) -> None:
        if "{" in namespace or "}" in namespace:
            raise ValueError(f"a namespace has no braces (they choose the Redis Cluster slot): {namespace!r}")
        self.namespace = namespace
        self._visitor = f"{namespace}:visitor:{{"
        self._folder = f"{namespace}:folder:{{"

    def visitor(self, key: str) -> str:
        """What the decider reads of a visitor."""
        return f"{self._visitor}{key}}}"

    def folder(self, key: str) -> str:
        """What only the folder needs of a visitor."""
        return f"{self._folder}{key}}}"

    def visitor_key_of(self, name: str) -> str | None:
        """The visitor key within the name of a visitor's state; None for any other name."""
        if name.startswith(self._visitor) and name.endswith("}"):
            return name[len(self._visitor) : -1]
        return None

    def gone(self, digest: bytes) -> str:
        """Where the log stood when somebody was forgotten, by a keyed hash of who it was."""
        return f"{self.namespace}:gone:{digest.hex()}"

    def aliases(self, key: str) -> str:
        """The set of keys that were merged into a visitor's."""
        return f"{self.namespace}:aliases:{{{key}}}"

    @property
    def erasures(self) -> str:
        """The ids of erasures that are under way."""
        return f"{self.namespace}:erasures"

    def erasure(self, erasure_id: str) -> str:
        """What is known of an erasure."""
        return f"{self.namespace}:erasure:{erasure_id}"

    @property
    def aliases_noted(self) -> str:
        """That the aliases of visitors stored by earlier releases were noted."""
        return f"{self.namespace}:aliases-noted"

    def timers(self, bucket: int) -> str:
        """The due times of one bucket of visitors."""
        return f"{self.namespace}:timers:{bucket}"

    def model(self, placement: str) -> str:
        """The complete snapshot of a placement's model."""
        return f"{self.namespace}:model:{placement}"

    @property
    def models(self) -> str:
        """The set of placements that have a snapshot."""
        return f"{self.namespace}:models"

    @property
    def model_changes(self) -> str:
        """The channel on which changed arms are published."""
        return f"{self.namespace}:model-changes"

    def conversion(self, name: str) -> str:
        """The model of a conversion, as deciders have it."""
        return f"{self.namespace}:conversion:{name}"

    @property
    def conversions(self) -> str:
        """The set of conversions that have a model."""
        return f"{self.namespace}:conversions"

    def challenger(self, challenger_id: str) -> str:
        """A retrained model that a record in ``outcomes`` enters into the contest."""
        return f"{self.namespace}:challenger:{challenger_id}"

    @property
    def challengers(self) -> str:
        """The ids of challengers that are kept."""
        return f"{self.namespace}:challengers"

    @property
    def assignment(self) -> str:
        """What persons are assigned by, sealed under each secret the installation has had."""
        return f"{self.namespace}:assignment"

    @property
    def data_key(self) -> str:
        """The key of personal data, sealed under each secret the installation has had."""
        return f"{self.namespace}:data-key"

    @property
    def data_key_id(self) -> str:
        """The id of that key: says that there is one."""
        return f"{self.namespace}:data-key-id"

    @property
    def generations(self) -> str:
        """Counts the learners there have been: each take-over of a partition takes the next number."""
        return f"{self.namespace}:learner:generations"

    def generation(self, partition: int) -> str:
        """The newest learner's number for a partition of ``outcomes``: whoever has a lower one is fenced off."""
        return f"{self.namespace}:learner:{{{partition}}}:generation"

    def checkpoint(self, partition: int, which: str) -> str:
        """Header of a learner's checkpoint, stored twice: ``current`` and ``copy``."""
        return f"{self.namespace}:learner:{{{partition}}}:{which}"

    def checkpoint_model(self, partition: int, number: int, placement: str) -> str:
        """One copy of a placement's model, by its ``number``."""
        return f"{self.namespace}:learner:{{{partition}}}:{number}:{placement}"

    def attempts(self, role: str) -> str:
        """Where the workers of a role began to read, and how often."""
        return f"{self.namespace}:attempts:{role}"

    @property
    def swept(self) -> str:
        """What the fold tells of by itself, as of the last walk over all visitors."""
        return f"{self.namespace}:swept"

    def segment_sizes(self, partition: int) -> str:
        """How many visitors of a partition are in each segment."""
        return f"{self.namespace}:segment-sizes:{partition}"

    def points(self, partition: int) -> str:
        """How many visitors of a partition have how many points of each score with tiers by shares."""
        return f"{self.namespace}:points:{partition}"

    @property
    def log_identity(self) -> str:
        """Which log the states were folded from."""
        return f"{self.namespace}:folded-log"

    def projected(self, epoch: int) -> str:
        """How far the projector has read each partition of each topic."""
        return f"{self.namespace}:projected:{epoch}"

    def record_rows(self, epoch: int, topic: str, partition: int, column: str, segment: int) -> str:
        """Rows that tell where entries of the log stand (``personalization.projecting.record_rows``)."""
        return f"{self.namespace}:rows:{epoch}:{topic}:{partition}:{column}:{segment}"

    def sums(self, bucket: str) -> str:
        """What the projector adds up, by read model and span of time."""
        return f"{self.namespace}:sums:{bucket}"

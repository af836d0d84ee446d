"""What a key may be allowed to do, as routes name it; the catalog's keys are written in the same words."""

from personalization.catalog.permissions import GRANTED, WRITE, Permission, Role

__all__ = ["GRANTED", "WRITE", "Permission", "Role"]

"""What a person is told of the decisions made about them: every sentence of it, in one place to translate.

It is for the person: plain words, no names of models or fields unless the site chose them. It answers what articles
13 to 15 and 22 of the GDPR ask: which automated decisions, on what data, by what logic, with what consequence, and
what they can do about it.
"""

from __future__ import annotations

from personalization.catalog.sections.privacy import Controller
from personalization.explaining.number_words import counted, percent
from personalization.explaining.value_words import moment_in_words

WHAT = (
    "This site chooses by computer which of its contents (texts, pictures, offers) you see in certain places. "
    "No human takes part in a single choice."
)
LOGIC = (
    "Rules that people wrote say which contents may be shown to you. Among those that may, a statistical model "
    "estimates which one you are likely to respond to, from what visitors with similar data responded to before. "
    "One content is then drawn at random: what is estimated higher is drawn more often, and nothing is certain."
)
CONSEQUENCE = (
    "What is decided is which content stands in a place of the page, and nothing else. These choices are not meant "
    "to have legal effects for you, or to affect you in a similar way."
)
NOTHING_USED = (
    "You have refused personalisation, or have not agreed to it: nothing that is known of you is used for these "
    "choices, and rules alone decide."
)
HOW_TO_OBJECT = (
    "You can withdraw your consent, or object, at any time and without a reason, where the site asks you about "
    "cookies and personalisation: the purpose is called personalization. From the next page on nothing is chosen "
    "by what is known of you, and the profile of you is deleted.",
    "You can let your browser say it for you: where Global Privacy Control (Sec-GPC) is switched on, it refuses "
    "the purposes that the site has named for it.",
    "You can have everything that is known of you erased, get a copy of it, or have it put right: ask the site.",
    "You can ask that a person looks at what was decided about you, and say what you think of it: ask the site.",
    "You can complain to the data protection authority of the place where you live.",
)
LATEST_UNKNOWN = "The latest choices cannot be listed at the moment."
NO_LATEST = "No choice about you is on record."

HERE = "what you looked at and did on this site"
TOLD = "what you told the site, or what it knows of your account"
REQUEST = "your browser, at each page"
DERIVED = "worked out from what you looked at and did"
ANSWERED = "your answers when you were asked for consent"

_DATA = {
    "affinities": ("what you seem to like", DERIVED),
    "cart": ("what lies in your basket", HERE),
    "cart_value": ("what your basket is worth", HERE),
    "consents": ("what you agreed to", ANSWERED),
    "context": ("what your browser sends along", REQUEST),
    "counts": ("how often you did certain things lately", HERE),
    "days_since_first": ("how long ago you came for the first time", HERE),
    "days_since_last": ("how long ago you were here last", HERE),
    "device": ("whether you use a phone, a tablet or a computer", REQUEST),
    "event_count": ("how much you did here in all", HERE),
    "hour": ("the time of day where you are", REQUEST),
    "known": ("whether you are logged in", TOLD),
    "n_orders": ("how often you ordered", HERE),
    "revenue": ("what you spent here", HERE),
    "scores": ("how likely you seem to do something soon, or points for what you did", DERIVED),
    "segments": ("which groups of visitors you belong to", DERIVED),
    "session": ("how this visit has gone so far", HERE),
    "tiers": ("the level that your points stand for", DERIVED),
    "traits": ("what is known about you", TOLD),
    "trends": ("whether your points rise or fall", DERIVED),
    "weekday": ("the day of the week", REQUEST),
}
_SHOWN_BEFORE = ("how often you were shown a content", HERE)
_HAPPENED = ("when and how often you did a certain thing", HERE)

CAPS = "exposures"
"""Stands for what caps count, which is no variable."""


def data_words(name: str) -> tuple[str, str]:
    """What a datum is, and where it comes from.

    Parameters
    ----------
    name
        As a rule or a feature names it.

    >>> data_words("traits.plan")
    ('what is known about you: plan', 'what you told the site, or what it knows of your account')
    >>> data_words('count("Viewed", within="7d")')[0]
    'when and how often you did a certain thing: count("Viewed", within="7d")'
    """
    if name == CAPS:
        return _SHOWN_BEFORE
    variable, _, entry = name.replace("[", ".").partition(".")
    known = _DATA.get(variable)
    if known is None or "(" in name:
        return f"{_HAPPENED[0]}: {name}", _HAPPENED[1]
    what, source = known
    return (f"{what}: {entry.strip('].').strip(chr(39) + chr(34))}" if entry else what), source


def placement_words(placement: str, n_contents: int, *, learns: bool) -> str:
    """What is decided in one place.

    Parameters
    ----------
    n_contents
        Of the catalog; 0: the site brings them at each visit.

    >>> placement_words("home.hero", 3, learns=True)
    'In the place “home.hero” one of 3 contents is chosen, by rules and a model that learns.'
    """
    by = "by rules and a model that learns" if learns else "by rules, while a model only watches"
    among = f"one of {n_contents} contents" if n_contents else "one of the contents that the site brings"
    return f"In the place “{placement}” {among} is chosen, {by}."


def decision_words(content: str, placement: str, at_ms: int, how: str) -> str:
    """One choice, in a sentence."""
    day, _, time = moment_in_words(at_ms).rstrip("Z").partition("T")
    return f"On {day} at {time} UTC “{content}” was chosen for “{placement}”: {how}."


def by_model(probability: float, n_arms: int) -> str:
    """A model chose by what is known of the person."""
    return f"a model drew it by what was known of you, {_chance(probability, n_arms)}"


def by_request(probability: float, n_arms: int) -> str:
    """A model chose by the request alone."""
    return f"a model drew it by this one visit alone, {_chance(probability, n_arms)}"


def _chance(probability: float, n_arms: int) -> str:
    if n_arms == 1:
        return "as nothing else could be shown"
    return f"with a chance of {percent(probability)} among {counted(n_arms, 'content')}"


BY_BASELINE = "it is what everybody sees there; a model only watches, and chose nothing"
BY_RULES = "fixed rules chose it; nothing that was learned played a part"
BY_DEFAULT = "it is what everybody sees where nothing else may be shown"
BY_CONTROL = "you are among those for whom nothing is personalised, so that its use can be measured"
BY_CHANCE = "it was drawn by chance alone"


def contact_words(controller: Controller | None) -> str:
    """Whom they may ask.

    >>> contact_words(Controller(name="Shop Ltd", contact="privacy@shop.example"))
    'Shop Ltd answers for this: ask privacy@shop.example.'
    """
    if controller is None:
        return "The operator of this site answers for this: its privacy notice says how to reach them."
    return f"{controller.name} answers for this: ask {controller.contact}."

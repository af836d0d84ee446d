"""The recipes of CONTRIBUTING.md, followed step by step in a copy of the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.setting_values import PREFIX
from tests.recipes.copied import Copied, paths_named

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path) -> Copied:
    return Copied(tmp_path)


def followed(project: Copied, heading: str, name: str) -> None:
    """Nothing was changed that the recipe does not name."""
    named = {path.replace("NAME", name) for path in paths_named(heading)}
    assert all(any(path == each or path.startswith(each) for each in named) for path in project.changed)


def test_a_policy(project: Copied) -> None:
    project.write(
        "online_models/policies/softmax.py",
        '''"""Softmax: probability grows exponentially with the estimate."""

from __future__ import annotations

import numpy as np

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

TEMPERATURE = Parameter("temperature", "How evenly contents are shown.", default=0.1)
PARAMETERS = (TEMPERATURE,)


def softmax(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """exp(mean / temperature), normalised."""
    raised = np.exp((estimates.mean - estimates.mean.max(axis=-1, keepdims=True)) / TEMPERATURE.of(spec))
    p: FloatArray = raised / raised.sum(axis=-1, keepdims=True)
    return p
''',
    )
    project.add_below("online_models/policies/check.py", '    "squarecb": squarecb,\n', '    "softmax": softmax,')
    project.add_below(
        "online_models/policies/check.py",
        "from online_models.policies import epsilon_greedy, fixed, linucb, squarecb, thompson, uniform\n",
        "from online_models.policies import softmax",
    )
    followed(project, "A policy", "softmax")
    project.run("-m", "config.generate")
    assert "How evenly contents are shown." in (project.folder / "docs/policies.md").read_text()
    shop = project.folder / "mine"
    shop.mkdir()
    (shop / "shop.yaml").write_text(
        "placements: {p: {content: [a, b], default: a, policy: {name: softmax, parameters: {temperature: 0.5}}}}\n"
        "content: {a: {}, b: {}}\n"
    )
    project.run(
        "-c", "from config.loader import load_catalog; from pathlib import Path; load_catalog(Path('mine'))"
    )
    project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/models/test_policies.py")


def test_a_reward_model(project: Copied) -> None:
    project.write(
        "online_models/running_mean.py",
        '''"""The mean reward so far, whatever the context: what every better model has to beat."""

from __future__ import annotations

from typing import Any

from river import base


class RunningMean(base.Regressor):
    """One number."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0

    def learn_one(self, x: dict[Any, Any], y: float) -> None:
        """Take one more into the mean."""
        self.n += 1
        self.mean += (y - self.mean) / self.n

    def predict_one(self, x: dict[Any, Any]) -> float:
        """The mean."""
        return self.mean
''',
    )
    project.add_below(
        "online_models/registry.py", '    "arm_linear": ArmLinear,\n', '    "running_mean": RunningMean,'
    )
    project.add_below(
        "online_models/registry.py",
        "from online_models.river_model import RiverModel, guarded\n",
        "from online_models.running_mean import RunningMean",
    )
    followed(project, "A reward model", "running_mean")
    learned = project.run(
        "-c",
        """
from online_models.placement_model import PlacementModel
from personalization.catalog.policy_spec import PolicySpec
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
model = PlacementModel("p", "running_mean")
for i in range(50):
    chosen = Choice(f"d{i}", "p", 0, "ab"[i % 2], 2**31)
    model.learn(Outcome(chosen, float(i % 2), ClosingReason.WINDOW, i, i + 1, i))
print(model.snapshot(1).distribution(("a", "b"), {}, policy=PolicySpec()).means)
""",
    )
    assert learned.strip() == "(0.5, 0.5)", "a mean of all arms, as was written"


def test_a_concept_of_the_catalog(project: Copied) -> None:
    project.write(
        "personalization/catalog/sections/goals.py",
        '''"""What a shop wants to reach: a number of an event a month."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from personalization.catalog.check import Check
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Share, Spec
from personalization.catalog.vocabulary import EVENT

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog


class Goal(Spec, frozen=True, kw_only=True):
    """A goal.

    Attributes
    ----------
    event
        The event that counts.
    when
        CEL over the event; all if absent.
    growth
        By how much more a month.
    within_ms
        How long it may take.
    """

    event: str
    when: Cel | None = None
    growth: Share = 0.0
    within_ms: int = 86_400_000


class GoalSection(Section[Goal]):
    """``goals``."""

    name = "goals"
    noun = "goal"

    def rules(self, where: str, spec: Goal) -> Iterator[RuleAt]:
        """Which events count."""
        if spec.when is not None:
            yield RuleAt(f"{where}.when", spec.when, EVENT, "yes_no")

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Goal) -> None:
        """It is checked, no more."""
        check.of_event(spec.when, f"goals.{name}.when")
        check.demand(spec.growth > 0, f"goals.{name}.growth", "must be above 0, e.g. 5%")
''',
    )
    catalog, walk = "personalization/catalog/catalog.py", "personalization/catalog/walk.py"
    project.add_below(catalog, "    scores: dict[str, Score] = {}\n", "    goals: dict[str, Goal] = {}")
    project.add_below(
        catalog,
        "from personalization.catalog.sections.conversions import Conversion\n",
        "from personalization.catalog.sections.goals import Goal",
    )
    project.add_below(walk, "    ScoreSection(),\n", "    GoalSection(),")
    project.add_below(
        walk,
        "from personalization.catalog.sections.conversions import ConversionSection\n",
        "from personalization.catalog.sections.goals import GoalSection",
    )
    followed(project, "A concept of the catalog", "goals")
    project.run("-m", "config.generate")
    schema = json.loads((project.folder / "config/catalog.schema.json").read_text())
    assert schema["$defs"]["Goal"]["properties"]["growth"]["description"] == "By how much more a month."
    shop = project.folder / "mine"
    shop.mkdir()
    (shop / "shop.yaml").write_text(
        "placements: {p: {content: [a], default: a}}\ncontent: {a: {}}\n"
        "goals:\n  more: {event: Ordered, growth: 5%, within: 30d}\n  none: {event: Ordered, when: n_orders > 1}\n"
        "  number: {event: Ordered, growth: 1%, when: properties.n}\n  words: {event: Ordered, grwth: 5%}\n"
    )
    told = project.run(
        "-c",
        """
from pathlib import Path
from config.loader import check_catalog
print("\\n".join(map(str, check_catalog(Path("mine")).mistakes)))
""",
    )
    assert told.splitlines() == [
        "shop.yaml:5: goals.none.growth: must be above 0, e.g. 5%",
        "shop.yaml:5: goals.none.when: unknown name 'n_orders'; "
        "known here: content, context, event, fields, properties, traits, type",
        "shop.yaml:7: goals.words.growth: must be above 0, e.g. 5%",
        "shop.yaml:7: goals.words.grwth: unknown field; did you mean 'growth'?",
    ]


def test_a_dialect(project: Copied) -> None:
    project.write(
        "api/dialects/plain/__init__.py",
        '''"""One placement for one visitor, in a few words."""

from __future__ import annotations

from typing import Any

import orjson

from api.access.permissions import Permission
from api.http.dialect import Call, Dialect, Reply, Route
from api.reading.ids import WireId
from api.reading.wire import Reader, Wire
from personalization.deciding.request import PlacementRequest


class WireQuestion(Wire, frozen=True, kw_only=True):
    """What is asked."""

    who: WireId
    where: str
    context: dict[str, Any] | None = None


class _AnyQuestion(WireQuestion, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


QUESTION: Reader[WireQuestion] = Reader(WireQuestion, _AnyQuestion)


async def choose(call: Call) -> Reply:
    """Choose, and do not count it as shown yet."""
    decider = call.core.decider
    asked = QUESTION.read(await call.body(10_000))
    intake = call.intake()
    request = decider.request(
        intake,
        call.request_id,
        (PlacementRequest(asked.where, 1),),
        user_id=None,
        anonymous_id=intake.id(asked.who, "who"),
        context=asked.context,
        activate=False,
    )
    (made,) = (await decider.decide(request, intake, decider.deadline(call.began))).decisions
    said = {"id": made.decision_id, "show": made.content_id, "p": made.probability, "tier": made.tier}
    return Reply(200, orjson.dumps(said))


PLAIN = Dialect("plain", "/plain/", (Route(("POST",), "/plain/choose", "plain", Permission.DECIDE, choose),))
''',
    )
    project.add_below("api/app.py", "from api.dialects.own import OWN\n", "from api.dialects.plain import PLAIN")
    project.replace("api/app.py", ", HEALTH)", ", PLAIN, HEALTH)")
    speakers = "tests/contract/dialects/speakers.py"
    project.replace(
        speakers,
        "SPEAKERS: tuple[Speaker, ...] = (OwnSpeaker(), ",
        """class PlainSpeaker(OwnSpeaker):
    name = "plain"
    endpoint = "plain"
    path = "/plain/choose"
    bad = (
        Bad(b"", 400, "bad_json", "body"),
        Bad(b'{"who":"a1"}', 400, "missing_field", "where"),
        Bad(b'{"who":7.5,"where":"home.hero"}', 400, "bad_id", "who"),
    )

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self.path, {"who": visitor, "where": placement, "context": context}

    def choice(self, answer: Any) -> Choice:
        return Choice(answer["id"], answer["show"], answer["p"], answer["tier"])


SPEAKERS: tuple[Speaker, ...] = (OwnSpeaker(), PlainSpeaker(), """,
    )
    followed(project, "A dialect", "plain")
    said = project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/dialects", "-k", "plain")
    assert " passed" in said


def test_a_setting(project: Copied) -> None:
    project.add_below(
        "config/settings.py",
        '    fold_wait_ms: int = _row(1, "how long an event waits for others to be folded with")\n',
        '    greeting: str = _row("hello", "what is said first")',
    )
    followed(project, "A setting", "greeting")
    project.run("-m", "config.generate")
    page = (project.folder / "docs/settings.md").read_text()
    assert f"| `{PREFIX}GREETING` |" in page
    assert "what is said first" in page
    said = project.run(
        "-c",
        "from config.settings import Settings; print(Settings.from_environment().greeting)",
        **{f"{PREFIX}GREETING": "good day"},
    )
    assert said.strip() == "good day"

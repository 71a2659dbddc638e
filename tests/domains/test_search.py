"""The search language of the guests table."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domains.models import Domain, DomainState
from domains.search import SearchError, parse
from domains.search_fields import FIELDS, FIGURES
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, SiteFactory, TagFactory

pytestmark = pytest.mark.django_db


def found(text: str) -> list[str]:
    return sorted(Domain.objects.filter(parse(text).condition).values_list("name", flat=True))


@pytest.fixture
def fleet() -> None:
    lab, york = SiteFactory.create(name="Lab"), SiteFactory.create(name="New York")
    kvm1 = HostFactory.create(name="kvm1", site=lab)
    kvm10 = HostFactory.create(name="kvm10", site=york)
    gone = HostFactory.create(name="kvm2", state=Host.State.UNREACHABLE)
    web, prod = TagFactory.create(name="web"), TagFactory.create(name="prod")
    one = DomainFactory.create(
        name="web-1",
        host=kvm1,
        title="Front page",
        addresses=["10.2.0.7", "2001:db8::7"],
        vcpus=4,
        memory_kib=4 * 1024**2,
        os_name="Debian GNU/Linux 12",
        agent=Domain.Agent.CONNECTED,
        autostart=True,
        uuid=UUID("12345678-0000-4000-8000-000000000001"),
    )
    one.tags.set([web, prod])
    two = DomainFactory.create(name="web-10", host=kvm10, addresses=["10.2.0.70"], state=DomainState.PAUSED)
    two.tags.set([web])
    DomainFactory.create(
        name="DB_1", host=gone, state=DomainState.SHUT_OFF, vcpus=8, memory_kib=512 * 1024, is_template=True
    )


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["DB_1", "web-1", "web-10"]),
        ("   ", ["DB_1", "web-1", "web-10"]),
        ("WEB", ["web-1", "web-10"]),
        ("web 1", ["web-1", "web-10"]),
        ("front", ["web-1"]),
        ("10.2.0.7", ["web-1", "web-10"]),
        ("2001:db8::7", ["web-1"]),
        ('"front page"', ["web-1"]),
        ("12345678", ["web-1"]),
        ("12345678-0000-4000", ["web-1"]),
        ("uuid:1234", ["web-1"]),
        ("w*1", ["web-1"]),
        ("10.*.70", ["web-10"]),
        ("name:web-1", ["web-1"]),
        ("name:web-*", ["web-1", "web-10"]),
        ("name:db_*", ["DB_1"]),
        ("name:web_*", []),
        ("name:%", []),
        ("name:Web-1", ["web-1"]),
        ('name:"web-*"', []),
        ("host:kvm1", ["web-1"]),
        ("host:kvm1*", ["web-1", "web-10"]),
        ("site:lab", ["web-1"]),
        ('site:"new york"', ["web-10"]),
        ("-site:lab", ["DB_1", "web-10"]),
        ("-site:l*", ["DB_1", "web-10"]),
        ("tag:web", ["web-1", "web-10"]),
        ("tag:web tag:prod", ["web-1"]),
        ("tag:p*", ["web-1"]),
        ("-tag:prod", ["DB_1", "web-10"]),
        ("-tag:web", ["DB_1"]),
        ("os:debian", ["web-1"]),
        ("address:10.2.0.7", ["web-1"]),
        ("address:10.2.*", ["web-1", "web-10"]),
        ("address:2001:0db8:0:0::7", ["web-1"]),
        ("address:10*db8*", []),
        ("state:running", ["web-1"]),
        ("state:shut_off", ["DB_1"]),
        ('state:"shut off"', ["DB_1"]),
        ("state:shut-off", ["DB_1"]),
        ("state:unknown", ["DB_1"]),
        ("state:active", ["web-1", "web-10"]),
        ("-state:running", ["DB_1", "web-10"]),
        ("agent:connected", ["web-1"]),
        ("autostart:yes", ["web-1"]),
        ("is:template", ["DB_1"]),
        ("-is:template", ["web-1", "web-10"]),
        ("is:misplaced", []),
        ("-is:misplaced", ["DB_1", "web-1", "web-10"]),
        ("autostart:no", ["DB_1", "web-10"]),
        ("vcpus>4", ["DB_1"]),
        ("vcpus>=4", ["DB_1", "web-1"]),
        ("vcpus:4", ["web-1"]),
        ("memory>=4GiB", ["web-1"]),
        ("memory<1g", ["DB_1", "web-10"]),
        ("-web", ["DB_1"]),
        ("NAME:web-1 State:Running", ["web-1"]),
    ],
)
def test_a_search_finds(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sate:running", "“sate:running” at character 1: there is no field “sate”. Fields are: address, agent,"),
        ("web state:sleeping", "at character 5: there is no such state. States are: no state, running,"),
        ("vcpus>many", "write a whole number"),
        ("vcpus>99999999999999999999", "write a whole number"),
        ("memory>4", "with its unit"),
        ("memory>999999999t", "more memory than there is"),
        ("steal>lots", "write a percentage"),
        ("name>web", "has no order"),
        ("host:", "a value is missing after “:”"),
        ('"web', "has no partner"),
        ("-", "a word is missing"),
        ("agent:maybe", "write one of: none, disconnected"),
        ("autostart:perhaps", "write yes or no"),
        ("is:odd", "write is:template or is:misplaced"),
        ("uuid:xyz", "hexadecimal"),
        ("address:*1*2*3*4*", "3 stars at most"),
        ("a\x00b", "cannot be seen"),
        ("x" * 501, "longer than 500"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SearchError) as refusal:
        parse(text)
    assert said in refusal.value.message


def test_figures_are_compared_with_what_is_live() -> None:
    above, below = parse("steal>5 -cpu>=80.5%").figures
    assert (above.holds(5.1), above.holds(5), above.holds(None)) == (True, False, False)
    assert (below.holds(80), below.holds(81), below.holds(None)) == (True, False, True)


WORDS = st.sampled_from(
    [*FIELDS, *FIGURES, ":", ">", "<=", "-", '"', "*", "%", "_", "\\", "'", "web", "4", "GiB", " ", "é", "٣"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=12).map("".join)))
def test_any_text_is_searched_for_or_refused_in_words(text: str) -> None:
    try:
        names = found(text)
    except SearchError as refusal:
        assert refusal.message
    else:
        assert names == []

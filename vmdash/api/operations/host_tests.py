"""Whether a host can be reached and is who it says: tested, and what it showed confirmed or forgotten."""

from ninja import Field, Router, Schema, Status

from hosts import onboarding
from hosts.outcome import Identity, newest_test
from hosts.pages import public_key_of, uri_of
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, same_named
from vmdash.jobs.selectors import job_row

router = Router(tags=["hosts"])


class ShownIdentity(Schema):
    """The key or certificate that the host showed and that is not trusted."""

    what: str
    fingerprint: str
    about: str
    command: str = Field(description="Shows the same fingerprint when it is run on the host.")
    trusted: str = Field(description="What was confirmed earlier and differs: somebody may sit in between.")
    can_be_confirmed: bool

    @classmethod
    def of(cls, identity: Identity) -> "ShownIdentity":
        return cls(**same_named(identity, *cls.model_fields))


class Facts(Schema):
    hostname: str
    uuid: str
    hypervisor: str
    hypervisor_version: str
    libvirt_version: str
    arch: str
    cpu_model: str
    cpus: int
    memory_kib: int


class HostTest(Schema):
    """The newest test; `job` is null where there was none yet."""

    job: Job | None
    passed: bool
    code: str = Field(description="What went wrong, such as port_closed or host_key_unknown.")
    message: str
    hint: str
    latency_ms: float | None
    facts: Facts | None
    shown: ShownIdentity | None
    uri: str
    public_key: str = Field(description="The line for its authorized_keys, where an SSH key opens it.")


class TestWish(Input):
    enable: bool = Field(False, description="Begin to collect from it when the test passes.")


class TrustWish(Input):
    fingerprint: Line = Field(description="As `shown` has it, compared with what the host itself says.")


@router.get("/{host}/test", response=HostTest)
@allow(Permission.MANAGE_HOSTS)
def get_host_test(request: SignedInRequest, host: Line) -> HostTest:
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    newest = newest_test(found)
    report = newest.report if newest else {}
    facts = report.get("facts")
    return HostTest(
        job=Job.of(job_row(newest.job, request.user)) if newest else None,
        passed=bool(newest and newest.has_passed),
        code=report.get("code", ""),
        message=report.get("message", "") or (newest.job.error if newest else ""),
        hint=report.get("hint", ""),
        latency_ms=report.get("latency_ms"),
        facts=Facts(**{name: facts[name] for name in Facts.model_fields}) if facts else None,
        shown=ShownIdentity.of(newest.identity) if newest and newest.identity else None,
        uri=uri_of(found),
        public_key=public_key_of(found),
    )


@router.post("/{host}/test", response={202: Job})
@allow(Permission.MANAGE_HOSTS)
@once
def test_host(request: SignedInRequest, host: Line, wish: TestWish) -> Status[Job]:
    """Can it be reached, is it who it was, does it let vmdash in? The job ends within 10 s."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    return asked_for(request, onboarding.request_test(host=found, user=request.user, enable=wish.enable))


@router.post("/{host}/trust", response={202: Job})
@allow(Permission.MANAGE_HOSTS)
@once
def trust_host(request: SignedInRequest, host: Line, wish: TrustWish) -> Status[Job]:
    """Confirm the key or certificate that the newest test was shown. It is tested again, and enabled when that
    passes."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    return asked_for(request, onboarding.trust(host=found, fingerprint=wish.fingerprint, user=request.user))


@router.post("/{host}/forget", response={202: Job})
@allow(Permission.MANAGE_HOSTS)
@once
def forget_host(request: SignedInRequest, host: Line) -> Status[Job]:
    """Forget the confirmed key and certificate, and test: what it has now is shown for confirmation."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    return asked_for(request, onboarding.forget(host=found, user=request.user))

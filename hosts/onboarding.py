"""The test of a host as a job: can it be reached, is it who it was, does it let us in, what is it?

The job ends within `hosts.trial.DEADLINE_S` whatever the host does. `Job.result` is a `hosts.report.Report`,
also when the job failed: a server that has not been confirmed yet is shown to the administrator with its fingerprint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hosts import connect, services
from hosts.models import Host
from hosts.outcome import TEST_KIND, newest_test
from hosts.trial import try_host
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, NotFound, NotPermitted, VmdashError
from vmdash.jobs import services as job_services
from vmdash.jobs import transitions
from vmdash.jobs.registry import Kind, Queue, Result, register

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.jobs.context import JobContext
    from vmdash.jobs.models import Job


def request_test(*, host: Host, user: User | None, enable: bool = False) -> Job:
    """Have the workers test the host. `enable`: begin to collect from it if the test passes."""
    uri = connect.endpoint(host).uri()
    return job_services.create(
        kind=HOST_TEST,
        user=user,
        target=job_services.Target(kind="host", id=str(host.pk), name=host.name, host_name=host.name),
        label=f"Test the connection to {host.name}",
        parameters={"enable": enable},
        virsh=f"virsh --readonly --connect '{uri}' nodeinfo",
    )


def trust(*, host: Host, fingerprint: str, user: User) -> Job:
    """Confirm the key or certificate that the newest test was shown, then test again.

    Raises:
        Conflict: this is not what the host showed last, or it has a confirmed one already.
    """
    newest = newest_test(host)
    identity = newest.identity if newest else None
    if not identity or not identity.can_be_confirmed or fingerprint != identity.fingerprint:
        raise Conflict("This is not what the host showed last.", hint="Test it again and compare once more.")
    services.trust_server(user=user, host=host, host_key=identity.host_key, certificate=identity.certificate)
    return request_test(host=host, user=user, enable=not host.enabled)


def forget(*, host: Host, user: User) -> Job:
    """Forget the confirmed key and certificate, then test: what the host has now is shown for confirmation."""
    services.forget_server(user=user, host=host)
    return request_test(host=host, user=user)


def run_test(ctx: JobContext) -> Result:
    """The job itself.

    Raises:
        VmdashError: what the test found, in its own words.
    """
    host = Host.objects.filter(pk=ctx.job.target_id).select_related("credential").first()
    if host is None:
        raise NotFound(f"{ctx.job.target_name} was removed before it could be tested.")
    ctx.phase(f"Connecting to {host.name}")
    report = try_host(host)
    if "facts" not in report:
        transitions.report(ctx.job, result=report)
        raise VmdashError(report["message"], hint=report["hint"], detail=report["detail"])
    _refuse_a_double(host, report["facts"]["uuid"])
    ctx.log(f"{host.name} answers: libvirt {report['facts']['libvirt_version']}")
    if ctx.parameters["enable"]:
        services.set_enabled(user=ctx.job.requested_by, host=host, enabled=True, detail="The test passed")
    return cast(Result, report)


def _refuse_a_double(host: Host, uuid: str) -> None:
    """The same daemon under two names would show each of its guests as running twice. Raises Conflict."""
    other = Host.objects.filter(host_uuid=uuid).exclude(pk=host.pk).first() if uuid else None
    if other:
        raise Conflict(
            f"{host.name} is the same machine as {other.name}, which is in the list already.",
            hint="Check the address. If they are two machines, give one another host_uuid in libvirtd.conf.",
            detail=f"Both have the host UUID {uuid}.",
        )


def _again(job: Job, user: User) -> Job:
    """Raises NotPermitted, and NotFound: the host was removed."""
    host = Host.objects.visible_to(user).select_related("credential").filter(pk=job.target_id).first()
    if host is None:
        raise NotFound(f"{job.target_name} is not in the list any more.")
    if not can(user, Permission.MANAGE_HOSTS, host):
        raise NotPermitted(f"You may not {Permission.MANAGE_HOSTS.label}.")
    return request_test(host=host, user=user, enable=bool(job.parameters.get("enable")))


HOST_TEST = register(Kind(name=TEST_KIND, run=run_test, queue=Queue.JOBS, time_limit_s=60, again=_again))

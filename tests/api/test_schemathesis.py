"""Thousands of requests that the OpenAPI document allows, and that it does not: no mistake of vmdash, and no answer
that the document does not promise."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from domains.actions import ACTIONS
from storage.pool_actions import ACTIONS as POOL_ACTIONS
from tests.access.world import World
from tests.api.caller import Caller
from vmdash.access.models import User
from vmdash.api.api import api
from vmdash.jobs.models import Job

LEAST = 1_000
"""Requests that are as the document says, and as many that are not."""
EACH = 14
"""The same, of each operation."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.django_db
@pytest.mark.one_database
@pytest.mark.timeout(1800)  # on a busy machine
@pytest.mark.usefixtures("one_connection", "victoria_metrics")  # so that nothing is away
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_promises(
    mode: GenerationMode, administrator: User, settings: Settings
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    world, token = World(), Caller(administrator).text
    schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
    schema.app = get_wsgi_application()
    real, seen, wrong = known(world), Counter[int](), []
    jobs = Job.objects.count()

    def ask(operation: APIOperation[Any, Any, Any, Any]) -> None:
        @hypothesis_settings(
            max_examples=EACH,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode), data=st.data())
        def some(case: Case[Any], data: st.DataObject) -> None:
            put_real_things(case, real, data)
            with transaction.atomic():
                response = case.call(headers={"Authorization": f"Bearer {token}"})
                transaction.set_rollback(True)
            seen[response.status_code] += 1
            try:
                case.validate_response(response, checks=CHECKS)
            except FailureGroup as group:
                problems = [str(failure) for failure in group.exceptions]
                wrong.append(f"{operation.label} {case.path_parameters} {case.query} {case.body!r}: {problems}")

        some()

    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        ask(found.ok())
    assert wrong == []
    assert seen.total() >= LEAST
    if mode == GenerationMode.POSITIVE:
        assert seen[200] > 100
        assert seen[202] > 30
    assert seen[422] > 100
    assert Job.objects.count() == jobs


def known(world: World) -> dict[str, list[Any]]:
    """What there is, by the names of parameters and members; hardly anything would be found otherwise."""
    return {
        "host": [world.host.name, world.other_host.name],
        "uuid": [str(world.guest.pk)],
        "guests": [[str(world.guest.pk), str(world.other_guest.pk)]],
        "job_id": [str(world.job.pk)],
        "pool": [world.pool.name],
        "volume": [world.volume.name],
        "snapshot": [world.snapshot.pk],
        "alert": [world.alert.pk],
        "silence": [world.silence.pk],
        "grant": [world.grant.pk],
        "image": [world.image.pk],
        "copy_id": [world.copy.pk],
        "receiver": [world.receiver.pk],
        "webhook": [world.webhook.pk],
        "target": [world.other_host.name, world.host.name],
        "targets": [[world.other_host.name]],
        "confirm": [world.guest.name, world.pool.name, world.volume.name, world.host.name],
        "action": [*ACTIONS, *POOL_ACTIONS],
        "name": ["new"],
        "credential": [world.credential.pk, world.credential.name],
        "schedule": [world.schedule.pk],
        "guest": [str(world.guest.pk), str(world.other_guest.pk)],
        "mark": ["of another plan"],
        "fingerprint": ["SHA256:x"],
        "transport": ["ssh", "tcp"],
        "address": ["10.0.0.9", "169.254.169.254"],
        "type": ["dir", "netfs", "logical"],
        "fields": [{"path": "/srv/new"}],
        "person": [world.somebody.username],
        "person_id": [world.somebody.pk],
        "group_id": [world.group.pk],
        "username": ["new"],
        "group": [""],
        "on": [world.host.name, str(world.guest.pk), ""],
        "q": ["state:running", "steal>5 -tag:web", 'site:"a'],
        "sort": ["name", "-cpu"],
        "range": ["day", "year"],
        "at": [int(time.time()) - 60],
        "site": [world.here.name, ""],
    }


def put_real_things(case: Case[Any], real: dict[str, list[Any]], data: st.DataObject) -> None:
    """In place of some that were made up."""
    for parts in (case.path_parameters, case.query, case.body):
        if isinstance(parts, dict):
            for name in parts.keys() & real.keys():
                if data.draw(st.integers(0, 3)):
                    parts[name] = data.draw(st.sampled_from(real[name]))

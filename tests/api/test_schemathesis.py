"""Thousands of requests that the OpenAPI document allows, and that it does not: no mistake of vmdash, no answer that
the document does not promise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction
from schemathesis import checks

from tests.access.world import World
from tests.api.caller import Caller
from tests.factories import UserFactory
from vmdash.access.roles import Role
from vmdash.api.api import api

LEAST = 2_000

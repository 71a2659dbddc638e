"""`<chartform:form>` in addresses: as what charts are answered."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.converters import StringConverter


class ChartForm(StringConverter):
    regex = "json|csv"


register_converter(ChartForm, "chartform")

"""Webhooks of alerts become webhooks like all others: those of the first administrator, signed with the same key."""

import base64
import secrets

from django.db import migrations
from django.db.models import Q

TOPICS = ["alert"]


def hand_over(apps, schema_editor):
    receivers = apps.get_model("alerts", "Receiver").objects.filter(kind="webhook")
    of_everything = Q(grants__role="administrator", grants__scope="everything")
    people = apps.get_model("access", "User").objects.filter(Q(role="administrator") | of_everything, is_active=True)
    owner = people.order_by("pk").first()
    for receiver in receivers if owner else ():
        key = receiver.secret.encode() if receiver.secret else secrets.token_bytes(32)
        apps.get_model("webhooks", "Webhook").objects.create(
            owner=owner,
            name=receiver.name,
            url=receiver.address,
            secret="whsec_" + base64.b64encode(key).decode(),
            topics=TOPICS,
            least=receiver.least,
            enabled=receiver.enabled,
        )
    receivers.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0001_initial"),
        ("webhooks", "0001_initial"),
        ("access", "0003_audit_chain"),
    ]

    operations = [migrations.RunPython(hand_over, migrations.RunPython.noop)]

"""Receivers of alerts are addresses for mail. (Apart from the move of the rows: PostgreSQL does not alter a table whose
rows were changed in the same transaction.)"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0002_webhooks_apart")]

    operations = [
        migrations.RemoveField(model_name="receiver", name="kind"),
        migrations.RemoveField(model_name="receiver", name="secret"),
    ]

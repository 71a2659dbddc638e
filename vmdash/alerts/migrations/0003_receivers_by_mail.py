"""Receivers of alerts are addresses for mail. (Apart from the move of the rows: PostgreSQL does not alter a table whose
rows were changed in the same transaction.)"""

from django.db import migrations, models

from vmdash.access.encryption import EncryptedTextField


class Migration(migrations.Migration):
    dependencies = [("alerts", "0002_webhooks_apart")]

    operations = [
        # On the way back those that are there are for mail.
        migrations.AlterField("receiver", "kind", models.CharField(max_length=10, default="mail")),
        migrations.AlterField("receiver", "secret", EncryptedTextField(blank=True, default="")),
        migrations.RemoveField(model_name="receiver", name="kind"),
        migrations.RemoveField(model_name="receiver", name="secret"),
    ]

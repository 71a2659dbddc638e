from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("domains", "0002_snapshots")]

    operations = [
        migrations.AddField(model_name="domain", name="is_template", field=models.BooleanField(default=False)),
    ]

"""How a guest shall be moved, with a word on what each option is good for."""

from __future__ import annotations

from typing import Any

from django import forms

from domains.migration.orders import ORDERS
from vmdash.exceptions import InvalidInput
from vmdash.virt.migration_types import MigrationOptions
from vmdash.virt.uri import Endpoint

MOST_CONNECTIONS = 16


class MoveForm(forms.Form):
    """The options; what is left alone is right nearly always."""

    bandwidth_mib_s = forms.IntegerField(
        min_value=1,
        max_value=1_000_000,
        required=False,
        label="Bandwidth, MiB/s",
        help_text="The most that is sent. Empty: as fast as the network lets it. Can be changed on the way.",
    )
    parallel = forms.IntegerField(
        min_value=2,
        max_value=MOST_CONNECTIONS,
        required=False,
        label="Parallel connections",
        help_text="For links faster than one CPU can fill, 10 Gbit/s and more. Empty: one.",
    )
    auto_converge = forms.BooleanField(
        required=False,
        initial=True,
        label="Auto-converge",
        help_text="Slows the guest down, step by step, when it writes memory faster than it can be sent. Without it "
        "such a guest never arrives.",
    )
    post_copy = forms.BooleanField(
        required=False,
        label="Allow post-copy",
        help_text="Lets you switch on the way: the guest then runs at the target at once and fetches the rest. It "
        "always ends, but when the network breaks in that time, the guest is lost.",
    )
    compress = forms.BooleanField(
        required=False,
        label="Compress",
        help_text="Sends only what changed within a page. Costs CPU on both hosts; for slow links.",
    )
    tls = forms.BooleanField(
        required=False,
        label="Encrypt with TLS",
        help_text="Memory and disks go over encrypted. Both hosts need certificates for QEMU (/etc/pki/qemu).",
    )
    persistent = forms.BooleanField(
        required=False,
        initial=True,
        label="Keep its definition at the target",
        help_text="Otherwise it is gone when it is shut down there.",
    )
    remove_copied = forms.BooleanField(
        required=False,
        initial=True,
        label="Remove the old disks",
        help_text="Of those disks that are copied: once the guest runs at the target, the old files are worth nothing.",
    )
    data_uri = forms.CharField(
        max_length=200,
        required=False,
        label="Address for its memory",
        help_text="Such as tcp://10.9.0.2, of a network of its own for this. Empty: what the target says.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_data_uri(self) -> str:
        text = str(self.cleaned_data["data_uri"]).strip()
        if not text:
            return ""
        try:
            return _checked_data_uri(text)
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if found.get("parallel") and found.get("post_copy"):
            self.add_error("parallel", "Hosts before QEMU 10.1 cannot do this together with post-copy. Choose one.")
        if found.get("parallel") and found.get("compress"):
            self.add_error("parallel", "This does not go together with compression. Choose one.")
        return found

    def options(self) -> MigrationOptions:
        """What was chosen. Only after `is_valid()`."""
        found = self.cleaned_data
        return MigrationOptions(
            persistent=found["persistent"],
            bandwidth_mib_s=found["bandwidth_mib_s"] or 0,
            auto_converge=found["auto_converge"],
            compress=found["compress"],
            parallel=found["parallel"] or 0,
            post_copy=found["post_copy"],
            tls=found["tls"],
            data_uri=found["data_uri"],
        )


def _checked_data_uri(text: str) -> str:
    """`tcp://ADDRESS` or `tcp://ADDRESS:PORT`. Raises InvalidInput."""
    scheme, _, rest = text.partition("://")
    if scheme != "tcp" or not rest:
        raise InvalidInput("Write it as tcp://ADDRESS or tcp://ADDRESS:PORT.")
    where = Endpoint.parse(f"qemu+tcp://{rest}/system")
    port = f":{where.port}" if where.port else ""
    address = f"[{where.address}]" if ":" in where.address else where.address
    return f"tcp://{address}{port}"


class OrderForm(forms.Form):
    """A way out of a migration that stalls."""

    job = forms.UUIDField()
    order = forms.ChoiceField(choices=[(key, key) for key in ORDERS])
    amount = forms.IntegerField(required=False, min_value=0)

"""Credentials: what opens the hosts. What is secret goes in and never comes out again."""

from typing import Annotated, Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status
from pydantic import StringConstraints

from hosts import services
from hosts.credential_forms import CREDENTIAL_FIELDS, CredentialForm
from hosts.models import Credential as Row
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.exceptions import InvalidInput

router = Router(tags=["hosts"])

Password = Annotated[str, StringConstraints(max_length=400)]
Pem = Annotated[str, StringConstraints(max_length=60_000)]


class Credential(Schema):
    id: int
    name: str
    kind: str = Field(description="ssh_key, sasl or tls.")
    username: str
    hosts: list[str] = Field(description="Those that it opens.")

    @classmethod
    def of(cls, row: Row) -> "Credential":
        plain = same_named(row, "name", "kind", "username")
        return cls(**plain, id=row.pk, hosts=[host.name for host in row.hosts.all()])


class Content(Input):
    """What a credential of its kind has; of what it does not have, nothing may be sent. Nothing of it is ever shown."""

    name: Line = ""
    username: Line = Field("", description="Of sasl.")
    password: Password = Field("", description="Of sasl.")
    private_key: Pem = Field("", description="Of ssh_key and tls: in OpenSSH or PEM format, without a passphrase.")
    certificate: Pem = Field("", description="Of tls: that of vmdash, in PEM.")
    ca_certificate: Pem = Field("", description="Of tls: who signed the host's certificate, in PEM.")

    def of_kind(self, kind: str) -> dict[str, Any]:
        """For `CredentialForm`. Raises InvalidInput: something was sent that this kind does not have."""
        sent = {name: value for name, value in self.dict(include=set(Content.model_fields)).items() if value}
        if surplus := sent.keys() - {"name", *CREDENTIAL_FIELDS[kind]}:
            words = ", ".join(sorted(surplus))
            raise InvalidInput(f"A credential of the kind “{Row.Kind(kind).label}” does not have: {words}.")
        return sent


@router.get("", response=Window[Credential])
@allow_everywhere(Permission.MANAGE_HOSTS)
def list_credentials(request: SignedInRequest, paging: Query[Paging]) -> Window[Credential]:
    """Without what is secret."""
    found = _credentials(request)
    return Window[Credential].out_of([Credential.of(row) for row in paging.of(found)], found.count(), paging)


@router.put("/{int:credential}", response=Credential)
@allow_everywhere(Permission.MANAGE_HOSTS)
def replace_credential(request: SignedInRequest, credential: int, wish: Content) -> Credential:
    """New content, all of it, such as a changed password. Its hosts are opened anew with it. `name` empty: it stays."""
    found = get_object_or_404(Row, pk=credential)
    sent = {"name": found.name} | wish.of_kind(found.kind)
    form = CredentialForm(sent, kind=found.kind, credential=found)
    checked(form)
    services.change_credential(user=request.user, credential=found, data=form.data_of())
    return Credential.of(_credentials(request).get(pk=found.pk))


@router.delete("/{int:credential}", response={204: None})
@allow_everywhere(Permission.MANAGE_HOSTS)
def remove_credential(request: SignedInRequest, credential: int) -> Status[None]:
    """One that opens no host any more."""
    services.remove_credential(user=request.user, credential=get_object_or_404(Row, pk=credential))
    return Status(204, None)


def _credentials(request: SignedInRequest) -> QuerySet[Row]:
    hosts = Prefetch("hosts", Host.objects.visible_to(request.user).only("name", "credential_id"))
    return Row.objects.prefetch_related(hosts)

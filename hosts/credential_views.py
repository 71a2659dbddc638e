"""Credentials: which there are and who uses them, replacing what is in one, removing those nobody uses."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hosts import services
from hosts.credential_forms import CREDENTIAL_FIELDS, CredentialForm
from hosts.models import Credential, Host
from vmdash.access.guards import SignedInRequest, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict


@require_safe
@allow_everywhere(Permission.MANAGE_HOSTS)
def credentials(request: SignedInRequest) -> HttpResponse:
    hosts = Prefetch("hosts", Host.objects.visible_to(request.user).only("name", "credential_id"))
    return render(request, "hosts/credentials.html", {"credentials": Credential.objects.prefetch_related(hosts)})


@require_http_methods(["GET", "HEAD", "POST"])
@allow_everywhere(Permission.MANAGE_HOSTS)
def replace(request: SignedInRequest, pk: int) -> HttpResponse:
    """New content for a credential, such as a changed password. What it holds now is not shown."""
    credential = get_object_or_404(Credential, pk=pk)
    form = CredentialForm(
        request.POST if request.method == "POST" else None,
        kind=credential.kind,
        credential=credential,
        initial={"name": credential.name, "username": credential.username},
    )
    if request.method == "POST" and form.is_valid():
        services.change_credential(user=request.user, credential=credential, data=form.data_of())
        messages.success(request, f"{credential.name} is replaced. Its hosts are opened anew with it.")
        return redirect("credentials")
    context = {"form": form, "credential": credential, "fields": ["name", *CREDENTIAL_FIELDS[credential.kind]]}
    return render(request, "hosts/credential.html", context, status=400 if form.is_bound else 200)


@require_POST
@allow_everywhere(Permission.MANAGE_HOSTS)
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    credential = get_object_or_404(Credential, pk=pk)
    try:
        services.remove_credential(user=request.user, credential=credential)
        messages.success(request, f"{credential.name} is removed.")
    except Conflict as error:
        messages.error(request, str(error))
    return redirect("credentials")

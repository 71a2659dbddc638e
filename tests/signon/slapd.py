"""A directory of the tests' own: Debian's slapd on loopback addresses, with two people in it."""

from __future__ import annotations

import shutil
from contextlib import suppress

import ldap
from ldap import modlist

from tests.certificates import Authority
from tests.services import Server, free_port

BASE = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
VMDASH = f"cn=vmdash,{BASE}"
PASSWORD = "the password over there"

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/pid
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/certificate.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix {base}
rootdn cn=root,{base}
rootpw "{password}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact={vmdash} read by anonymous auth by * none
"""


class Slapd(Server):
    """Only `VMDASH` may look something up in it; everybody's password is `PASSWORD`."""

    def __init__(self) -> None:
        super().__init__("slapd")
        (self.directory / "data").mkdir()
        authority = Authority()
        certificate, key = authority.issue("127.0.0.1", "127.0.0.2", "localhost")
        for name, content in (("ca", authority.pem), ("certificate", certificate), ("key", key)):
            (self.directory / f"{name}.pem").write_text(content)
        self.ca = str(self.directory / "ca.pem")
        config = self.directory / "slapd.conf"
        config.write_text(_CONFIG.format(directory=self.directory, base=BASE, vmdash=VMDASH, password=PASSWORD))
        # Debian's rules for slapd (AppArmor) let the one in /usr/sbin read no other folders.
        self._program = shutil.copy("/usr/sbin/slapd", self.directory)
        plain, tls = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{plain}"
        self.plain_elsewhere, self.tls = f"ldap://127.0.0.2:{plain}", f"ldaps://127.0.0.1:{tls}"
        self._listens = f"{self.url} {self.plain_elsewhere} {self.tls}"
        self.begin()
        self._furnish()

    def begin(self) -> None:
        config = self.directory / "slapd.conf"
        self._start(self._program, "-d", "none", "-f", config, "-h", self._listens)
        self._wait()

    def _answers(self) -> bool:
        with suppress(ldap.LDAPError):
            self._root().unbind_s()
            return True
        return False

    def _root(self) -> ldap.ldapobject.LDAPObject:
        connection = ldap.initialize(self.url)
        connection.simple_bind_s(f"cn=root,{BASE}", PASSWORD)
        return connection

    def _furnish(self) -> None:
        self.add(BASE, objectClass=["organization", "dcObject"], o="Example", dc="example")
        for unit in ("people", "groups"):
            self.add(f"ou={unit},{BASE}", objectClass="organizationalUnit", ou=unit)
        self.add(VMDASH, objectClass=["organizationalRole", "simpleSecurityObject"], cn="vmdash", userPassword=PASSWORD)
        for name, given, family in (("ada", "Ada", "Lovelace"), ("grace", "Grace", "Hopper")):
            self.add(
                f"uid={name},{PEOPLE}", objectClass="inetOrgPerson", uid=name, cn=f"{given} {family}", givenName=given,
                sn=family, mail=f"{name}@example.org", userPassword=PASSWORD,
            )  # fmt: skip

    def add(self, dn: str, **attributes: str | list[str]) -> None:
        values = {
            name: [one.encode() for one in ([value] if isinstance(value, str) else value)]
            for name, value in attributes.items()
        }
        root = self._root()
        root.add_s(dn, modlist.addModlist(values))
        root.unbind_s()

    def groups(self, **members: list[str]) -> None:
        """These are the groups now, with the names of their members, each of another kind in turn."""
        root = self._root()
        for dn, _ in root.search_s(GROUPS, ldap.SCOPE_ONELEVEL, attrlist=["cn"]):
            root.delete_s(dn)
        root.unbind_s()
        kinds = [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember"), ("posixGroup", "memberUid")]
        for number, (name, people) in enumerate(members.items()):
            kind, attribute = kinds[number % len(kinds)]
            more = {"gidNumber": "1"} if kind == "posixGroup" else {}
            who = people if kind == "posixGroup" else [f"uid={person},{PEOPLE}" for person in people]
            self.add(f"cn={name},{GROUPS}", objectClass=kind, cn=name, **{attribute: who}, **more)

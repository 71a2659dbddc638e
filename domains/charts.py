"""The last hour of a guest, out of the history store, for the charts of its page."""

from __future__ import annotations

from domains.models import Domain
from vmdash.metrics.query import Series, last_hour_of

_MEMORY = "libvirt_domain_memory_stats"
_WINDOW = "1m"
"""Several rounds of the slow tier of sampling, in which counters are kept."""


def last_hour(guest: Domain) -> dict[str, Series]:
    """Series by name on one time grid; `at` is Unix seconds, shares are percent, the rest bytes (per second).

    Raises:
        Unavailable: the history store does not answer.
    """
    only = f'{{uuid="{guest.pk}"}}'
    vcpus = max(1, guest.vcpus)

    def rate(metric: str) -> str:
        return f"sum(rate(libvirt_domain_{metric}{only}[{_WINDOW}]))"

    return last_hour_of(
        {
            "cpu": f"100 * {rate('info_cpu_time_seconds_total')} / {vcpus}",
            "steal": f"100 * avg(rate(libvirt_domain_vcpu_delay_seconds_total{only}[{_WINDOW}]))",
            "mem": f"max({_MEMORY}_available_bytes{only} - {_MEMORY}_usable_bytes{only})",
            "rd": rate("block_stats_read_bytes_total"),
            "wr": rate("block_stats_write_bytes_total"),
            "rx": rate("interface_stats_receive_bytes_total"),
            "tx": rate("interface_stats_transmit_bytes_total"),
        }
    )
